/**
 * Floor 3. One connection to NATS, an endpoint's own: opened once, watched while it is open, lost or closed once.
 *
 * The library writes what one turn of the event loop publishes together, and bounds nothing. What the server has not
 * answered for is counted here: a PING follows so many bytes, and its PONG says that they have been read.
 */
import {
  type Msg,
  type NatsConnection,
  PermissionViolationError,
  type ServerInfo,
  type Subscription,
} from '@nats-io/transport-node'
import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls'
import { within } from '../../deadline.ts'
import { reasonOf } from '../../errors.ts'
import { tlsOptions } from '../common/tls.ts'
import { type Address, nameOf } from './address.ts'
import { serversOf } from './checks.ts'
import { dial } from './dial.ts'
import { guard } from './guard.ts'
import { HeaderBlock } from './headers.ts'
import { type Login, loginIn, loginOf, plainError } from './login.ts'
import type { ServerOptions } from './options.ts'

/** A server that has not answered a PING after so many milliseconds is not there. */
const PING_TIMEOUT = 4_000
/** How long the end waits for what was written to be read by the server, and for the socket to close (milliseconds). */
const CLOSE_TIMEOUT = 500
/** So many bytes may be under way to the server, and after so many it is asked how far it has read. */
const MAX_UNREAD = 4 * 1024 * 1024
const STEP = 256 * 1024
/** What the protocol adds to a message, about (bytes): that a flood of empty ones is bounded, too. */
const OVERHEAD = 64

export interface ConnectionInit {
  readonly options: ServerOptions
  /** What files in the options are relative to. */
  readonly directory: string
  /** The endpoint's. */
  readonly name: string
  /** Whether the server sends back what was published on this connection. */
  readonly echo: boolean
  /** Called once, with a reason in words and no secret in it; not when {@link Connection.close} was called before. */
  readonly onLost: (error: Error) => void
  /** The server refused something, and the connection lives on. Must not throw. */
  readonly onRefused: (error: PermissionViolationError) => void
  /** As much is under way as may. Must not throw. */
  readonly onFull: () => void
  /** There is room again. Must not throw. */
  readonly onRoom: () => void
}

/**
 * Tries the servers in turn, from a random one on, so that many clients spread over them.
 * @throws Error that says of each why it is not to be had.
 */
export async function openConnection(init: ConnectionInit, signal: AbortSignal): Promise<Connection> {
  const { options, directory } = init
  const [login, tls] = await Promise.all([loginOf(options, directory), tlsOptions(options.tls, directory)])
  const servers = serversOf(options)
  const first = Math.floor(Math.random() * servers.length)
  const reasons: string[] = []
  for (const address of [...servers.slice(first), ...servers.slice(0, first)]) {
    const own = { ...loginIn(address), ...login }
    try {
      const client = await open(init, address, own, tls, signal)
      return new Connection(client, init, own)
    } catch (error) {
      if (signal.aborted) throw error
      reasons.push(`${nameOf(address)}: ${plainError(error, own).message}`)
    }
  }
  throw new Error(reasons.join('; '))
}

function open(
  { name, echo }: ConnectionInit,
  address: Address,
  login: Login,
  tls: TlsConnectionOptions | undefined,
  signal: AbortSignal,
): Promise<NatsConnection> {
  const wanted = tls ?? (address.tls ? {} : undefined)
  return dial({ address, login, tls: wanted, name: `araldo-${name}`, noEcho: !echo }, signal)
}

export class Connection {
  readonly #client: NatsConnection
  readonly #init: ConnectionInit
  readonly #login: Login
  #info: ServerInfo
  #isOver = false
  #timer: NodeJS.Timeout | undefined
  /** Bytes: written, followed by a PING, and read by the server. */
  #written = 0
  #probed = 0
  #read = 0
  #isFull = false

  constructor(client: NatsConnection, init: ConnectionInit, login: Login) {
    this.#client = client
    this.#init = init
    this.#login = login
    this.#info = client.info as ServerInfo
    guard(client, (error) => this.#fail(error))
    void this.#watch()
    this.#schedulePing()
  }

  /** What the server last said of itself. */
  get info(): ServerInfo {
    return (this.#info = this.#client.info ?? this.#info)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** For what the library knows how to ask of the server. What is written by it is not counted here. */
  get client(): NatsConnection {
    return this.#client
  }

  /**
   * @param onMessage called with each message, at once: nothing is queued. Must not throw.
   * @param onDenied the server does not allow it; there is no such subscription then. Must not throw.
   */
  subscribe(
    subject: string,
    onMessage: (message: Msg) => void,
    onDenied: (error: Error) => void,
    queue?: string,
  ): Subscription {
    const callback = (error: Error | null, message: Msg): void => {
      if (this.#isOver) return
      if (error === null) onMessage(message)
      else onDenied(error)
    }
    return this.#client.subscribe(subject, queue === undefined ? { callback } : { callback, queue })
  }

  /**
   * Writes a message, at the end of this turn of the event loop at the latest.
   * @param block its headers, encoded.
   */
  publish(subject: string, payload: Uint8Array, block?: Buffer, reply?: string): void {
    this.#client.publish(subject, payload, {
      ...(block === undefined ? {} : { headers: new HeaderBlock(block) }),
      ...(reply === undefined ? {} : { reply }),
    })
    this.#written += payload.length + (block?.length ?? 0) + subject.length + OVERHEAD
    if (this.#written - this.#probed >= STEP) this.#probe()
    if (!this.#isFull && this.#written - this.#read >= MAX_UNREAD) {
      this.#isFull = true
      this.#init.onFull()
    }
  }

  /** Resolves when the server has read all that was written before. Stays open when the connection is lost first. */
  flush(): Promise<void> {
    return this.#client.flush()
  }

  /** Ends it. In order: what was written before reaches the server, if that answers. Never rejects. */
  async close(inOrder: boolean): Promise<void> {
    const wasOpen = !this.#isOver
    this.#end()
    if (wasOpen && inOrder) await within(CLOSE_TIMEOUT, this.#client.flush()).catch(() => false)
    await within(CLOSE_TIMEOUT, this.#client.close()).catch(() => false)
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#end()
    this.#init.onLost(plainError(error, this.#login))
  }

  /** Until it is closed, by whomever. */
  async #watch(): Promise<void> {
    const closed = this.#client.closed()
    for await (const status of this.#client.status()) {
      if (this.#isOver || status.type !== 'error') continue
      if (status.error instanceof PermissionViolationError) this.#init.onRefused(status.error)
    }
    this.#fail(await closed)
  }

  #schedulePing(): void {
    this.#timer = setTimeout(() => void this.#ping(), this.#init.options['ping-interval'])
  }

  async #ping(): Promise<void> {
    try {
      const isThere = await within(PING_TIMEOUT, this.#client.flush())
      if (!isThere) this.#fail(new Error(`no answer to PING within ${PING_TIMEOUT} ms`))
    } catch (error) {
      this.#fail(new Error(`PING failed: ${reasonOf(error)}`))
    }
    if (!this.#isOver) this.#schedulePing()
  }

  #probe(): void {
    const upTo = (this.#probed = this.#written)
    this.#client.flush().then(
      () => {
        this.#read = upTo
        if (!this.#isFull || this.#isOver || this.#written - this.#read > MAX_UNREAD / 2) return
        this.#isFull = false
        this.#init.onRoom()
      },
      // The connection is lost, which is told elsewhere.
      () => {},
    )
  }
}
