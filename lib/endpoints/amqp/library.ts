/**
 * Floor 3. Mends what amqplib leaves open: it reads on as soon as a broker has let it in, and gives its connection to nobody
 * before that is done. An error in what came by the same read has no listener, and a broker could end the process by it.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

interface LibraryConnection {
  on(event: 'error', listener: () => void): unknown
}

interface LibraryPrototype {
  open: (this: LibraryConnection, ...rest: unknown[]) => unknown
}

const require = createRequire(import.meta.url)
let isMended = false

/**
 * From now on, every connection has a listener from its beginning. Nothing else changes, for others who use the library
 * neither: what comes later reaches the model that they have, and is theirs to listen to.
 */
export function listenFromTheBeginning(): void {
  if (isMended) return
  isMended = true
  const prototype = prototypeOf()
  if (prototype === undefined) return
  const { open } = prototype
  prototype.open = function (...rest) {
    this.on('error', () => {})
    return open.apply(this, rest)
  }
}

/** The class is not exported. undefined where a version of the library has it elsewhere: nothing is mended then. */
function prototypeOf(): LibraryPrototype | undefined {
  try {
    const file = join(dirname(require.resolve('amqplib')), 'lib', 'connection.js')
    return (require(file) as { readonly Connection: { readonly prototype: LibraryPrototype } }).Connection.prototype
  } catch {
    return undefined
  }
}
