/**
 * Floor 3. Connects to one server of NATS, with nothing of the library's own reconnection, and so that it can be given up
 * at any moment.
 *
 * The library gives nobody the socket of an attempt, and leaves it open when the attempt takes too long. Node tells of
 * each socket that is made (the channel `net.client.socket`), and whose it is follows from the asynchronous context. Node
 * 20 pays for such a context with each promise: there is one only while somebody dials.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { checkServerIdentity, type ConnectionOptions as TlsConnectionOptions, type PeerCertificate } from 'node:tls'
import { connect, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node'
import { type Address, nameOf } from './address.ts'
import type { Login } from './login.ts'

/** One server may take so many milliseconds to let us in. */
const DIAL_TIMEOUT = 4_000
/** Timers hold no more (milliseconds): the library's own heartbeat is not to come into play. */
const NEVER = 2 ** 31 - 1
const WANTS_TLS = "the server requires TLS: write tls://, or set 'tls'"
const CHANNEL = 'net.client.socket'

export interface DialInit {
  readonly address: Address
  readonly login: Login
  readonly tls: TlsConnectionOptions | undefined
  /** What the server's monitoring calls the connection. */
  readonly name: string
  readonly noEcho: boolean
}

/** Rejects with the library's error; when the signal aborts, nothing of the attempt is left. */
export async function dial(init: DialInit, signal: AbortSignal): Promise<NatsConnection> {
  signal.throwIfAborted()
  const attempt = new Attempt()
  const giveUp = (): void => attempt.giveUp()
  // Past the library's own deadline, which leaves the socket open.
  const timer = setTimeout(giveUp, DIAL_TIMEOUT + 500)
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    const connection = await attempt.run(() => connect(settingsOf(init)))
    if (!signal.aborted) return connection
    await connection.close()
    throw signal.reason
  } catch (error) {
    attempt.giveUp()
    throw init.tls === undefined && isOfTls(error) ? new Error(WANTS_TLS) : error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
  }
}

/** What the library makes of a server that requires TLS where it was given no settings for it. */
function isOfTls(error: unknown): boolean {
  return error instanceof Error && error.message.includes('certFile')
}

function settingsOf({ address, login, tls, name, noEcho }: DialInit): NodeConnectionOptions {
  return {
    servers: [nameOf(address)],
    name,
    noEcho,
    timeout: DIAL_TIMEOUT,
    reconnect: false,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    pingInterval: NEVER,
    ...login,
    // null: not where the server merely offers it.
    tls:
      tls === undefined ? null : ({ ...tls, checkServerIdentity: identify(tls.servername ?? address.host) } as object),
  }
}

/** The library hands over an open socket, from which Node does not know the name that the certificate must be for. */
function identify(host: string): (_name: string, certificate: PeerCertificate) => Error | undefined {
  return (_name, certificate) => checkServerIdentity(host, certificate)
}

const contexts = new AsyncLocalStorage<Attempt>()
let attempts = 0

/** One attempt, and the sockets that were made by it. */
class Attempt {
  readonly #sockets = new Set<Socket>()
  #isGivenUp = false

  async run<Value>(work: () => Promise<Value>): Promise<Value> {
    if (attempts++ === 0) subscribe(CHANNEL, onSocket)
    try {
      return await contexts.run(this, work)
    } finally {
      if (--attempts === 0) {
        unsubscribe(CHANNEL, onSocket)
        contexts.disable()
      }
    }
  }

  add(socket: Socket): void {
    this.#sockets.add(socket)
    // Not at once: it has not begun to connect, and nobody listens to it yet.
    if (this.#isGivenUp) setImmediate(() => socket.destroy())
  }

  giveUp(): void {
    this.#isGivenUp = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

function onSocket(message: unknown): void {
  contexts.getStore()?.add((message as { socket: Socket }).socket)
}
