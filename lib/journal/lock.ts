/**
 * Floor 1. Sees to it that one process at a time uses a journal, on one kernel: across containers, too, that share the
 * folder. It needs no cleaning up: the lock of a process that was killed is no lock any more.
 *
 * A lock is a Unix domain socket in the folder that somebody listens on. Each contender listens on a socket with a name
 * of its own, first, and then looks for others: if one answers, the folder is taken, and the contender gives up its own.
 * So of two that start at the same moment at least one sees the other, whatever the order; and as a name is never used
 * again, a socket that nobody answers on can be removed without taking away somebody's lock.
 *
 * It does not see processes of other machines that have the folder by NFS or the like.
 */
import { randomBytes } from 'node:crypto'
import { open, readdir, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { errors } from '../errors.ts'

const NAME = /^lock-(\d+)-[\da-f]{12}$/
/** Bytes of a socket's path on every system that has them; Linux and the BSDs take a little more. */
const MAX_PATH_BYTES = 100
/** Two that start at the same moment may both step back; they try again so often, after so long (milliseconds). */
const TRIES = 4
const MAX_PAUSE = 200

export class Lock {
  readonly #server: Server
  readonly #close: () => Promise<void>

  private constructor(server: Server, close: () => Promise<void>) {
    this.#server = server
    this.#close = close
  }

  /** Rejects with `JOURNAL_LOCKED` where another process, or another journal of this one, has the folder. */
  static async acquire(folder: string): Promise<Lock> {
    for (let tries = 1; ; tries++) {
      const own = `lock-${process.pid}-${randomBytes(6).toString('hex')}`
      const lock = await Lock.#listen(folder, own)
      try {
        const holder = await findHolder(folder, own)
        if (holder === undefined) return lock
        if (tries === TRIES) throw new errors.JOURNAL_LOCKED(folder, holder)
      } catch (error) {
        await lock.release()
        throw error
      }
      await lock.release()
      await pause(Math.random() * MAX_PAUSE)
    }
  }

  static async #listen(folder: string, name: string): Promise<Lock> {
    const { path, handle } = await socketPath(folder, name)
    const server = createServer((socket) => socket.destroy())
    const close = async (): Promise<void> => {
      // It removes its socket by its path, so that the handle has to stay open until then.
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await handle?.close()
    }
    try {
      await new Promise<void>((resolve, reject) => {
        // Also later, when it can accept nobody: for want of file descriptors, for instance.
        server.on('error', reject)
        // A worker of a cluster would be given the primary's socket otherwise.
        server.listen({ path, exclusive: true }, resolve)
      })
    } catch (error) {
      await handle?.close()
      throw error
    }
    server.unref()
    return new Lock(server, close)
  }

  /** Idempotent. */
  async release(): Promise<void> {
    if (this.#server.listening) await this.#close()
  }
}

/** @returns in words, who holds the folder; undefined where nobody else does */
async function findHolder(folder: string, own: string): Promise<string | undefined> {
  for (const name of await readdir(folder)) {
    const [, pid] = NAME.exec(name) ?? []
    if (pid === undefined || name === own) continue
    if (await isListening(folder, name)) return pid === String(process.pid) ? 'this process' : `process ${pid}`
    await unlink(`${folder}/${name}`).catch(() => undefined) // Somebody else was faster.
  }
  return undefined
}

async function isListening(folder: string, name: string): Promise<boolean> {
  const { path, handle } = await socketPath(folder, name)
  try {
    return await new Promise<boolean>((resolve) => {
      const socket = connect({ path })
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', (error: NodeJS.ErrnoException) => {
        // Any other error, such as that too many wait to be answered, leaves it possible that somebody is there.
        resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
      })
    })
  } finally {
    await handle?.close()
  }
}

/** A path's length is limited to about a hundred bytes; on Linux, a folder has a short name while it is open. */
async function socketPath(folder: string, name: string): Promise<{ path: string; handle?: FileHandle }> {
  const path = `${folder}/${name}`
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path }
  if (process.platform !== 'linux') {
    const most = MAX_PATH_BYTES - name.length - 1
    throw new errors.JOURNAL_UNUSABLE(folder, `its path is longer than ${most} bytes: choose a shorter one`)
  }
  const handle = await open(folder, 'r')
  return { path: `/proc/self/fd/${handle.fd}/${name}`, handle }
}
