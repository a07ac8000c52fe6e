/**
 * Floor 3. One connection to a server: opened once, watched while it is open, lost or closed once.
 *
 * Whoever holds it learns of its end by one call, whatever it ended by: the socket, an error that ioredis emits, or a
 * server that accepts and never answers, which only a heartbeat can tell.
 */
import { type EventEmitter, once } from 'node:events'
import { abortable, within } from '../../deadline.ts'
import { isErrorReply, plainError, type Client, type OpenClient, type OpenedClient, type Role } from './client.ts'

export interface ConnectionInit {
  readonly open: OpenClient
  /** Milliseconds between two heartbeats. */
  readonly pingInterval: number
  /** Called once, with a reason in words and no secret in it; not when {@link Connection.close} was called before. */
  readonly onLost: (error: Error) => void
}

/** All of opening must be through by then (milliseconds): before the endpoint's own deadline, whose words say less. */
const OPEN_TIMEOUT = 9_000
/** A server that has not answered a PING after so many milliseconds is not there. */
const PING_TIMEOUT = 4_000
/** How long the end waits for what is in flight, and for the server to close its side (milliseconds). */
const QUIT_TIMEOUT = 1_000

export abstract class Connection {
  readonly #role: Role
  readonly #init: ConnectionInit
  /** Aborted with the reason when it is lost or closed. */
  readonly #ended = new AbortController()
  #opening: Promise<void> | undefined
  #opened: OpenedClient | undefined
  #lastError: Error | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(role: Role, init: ConnectionInit) {
    this.#role = role
    this.#init = init
  }

  /** Called with the connected client, before anybody is told that it is open. */
  protected abstract attach(client: Client): void

  /** Called when the client is not to be used any more. */
  protected abstract detach(client: Client): void

  /** Opens it on the first call; resolves when it is open. Rejects with why it is not. */
  open(): Promise<void> {
    return (this.#opening ??= this.#open())
  }

  /** The client, while it is of use. One that is lost looks ready until its socket has closed. */
  protected get client(): Client | undefined {
    return this.#ended.signal.aborted ? undefined : this.#opened?.client
  }

  /** Ends it in order: what was sent before reaches the server, if that answers. Never rejects. */
  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return
    const opened = this.#opened
    this.#end(new Error('closed'))
    if (opened === undefined || !opened.owned) return
    const { client } = opened
    const ended = new Promise((resolve) => client.once('end', resolve))
    if (client.status === 'ready') await within(QUIT_TIMEOUT, client.quit()).catch(() => false)
    client.disconnect()
    if (client.status !== 'end') await within(QUIT_TIMEOUT, ended)
  }

  /** The connection is of no more use. Does nothing after the first call, nor when it is closed. */
  protected fail(error: unknown): void {
    if (this.#ended.signal.aborted) return
    const opened = this.#opened
    const plain = plainError(error)
    const reason = opened?.explain?.(plain) ?? plain
    this.#end(reason)
    if (opened?.owned === true) opened.client.disconnect()
    this.#init.onLost(reason)
  }

  async #open(): Promise<void> {
    const { signal } = this.#ended
    this.#timer = setTimeout(() => this.fail(new Error(`no answer within ${OPEN_TIMEOUT} ms`)), OPEN_TIMEOUT)
    try {
      const opened = await abortable(this.#init.open(this.#role, signal), signal)
      this.#opened = opened
      this.#listen(opened)
      await abortable(connect(opened, signal), signal)
      await abortable(probe(opened), signal)
      this.attach(opened.client)
      clearTimeout(this.#timer)
      this.#scheduleHeartbeat(opened)
    } catch (error) {
      this.fail(error)
      throw signal.reason as Error
    }
  }

  #scheduleHeartbeat(opened: OpenedClient): void {
    this.#timer = setTimeout(() => {
      abortable(probe(opened), this.#ended.signal).then(
        () => this.#scheduleHeartbeat(opened),
        (error: unknown) => this.fail(error),
      )
    }, this.#init.pingInterval)
  }

  #listen({ client, owned }: OpenedClient): void {
    const emitter: EventEmitter = client
    emitter.on('error', this.#onError)
    emitter.on('end', this.#onEnd)
    // The application's client comes back by itself; but for us, what was in flight is lost.
    if (!owned) emitter.on('close', this.#onEnd)
  }

  #end(reason: Error): void {
    this.#ended.abort(reason)
    clearTimeout(this.#timer)
    if (this.#opened === undefined) return
    const { client, owned } = this.#opened
    const emitter: EventEmitter = client
    // ioredis writes errors that nobody listens to onto the console.
    if (owned) emitter.on('error', ignore)
    emitter.off('error', this.#onError)
    emitter.off('end', this.#onEnd)
    emitter.off('close', this.#onEnd)
    this.detach(client)
  }

  readonly #onError = (error: Error): void => {
    this.#lastError = error
    if (this.#opened?.owned === true) this.fail(error)
  }

  readonly #onEnd = (): void => this.fail(this.#lastError ?? new Error('the server closed the connection'))
}

/** Resolves when the client is ready. */
async function connect({ client, owned }: OpenedClient, signal: AbortSignal): Promise<void> {
  if (owned) return client.connect()
  if (client.status === 'ready') return undefined
  if (client.status === 'end') throw new Error('the application has closed the connection')
  const ready = once(client, 'ready', { signal })
  if (client.status === 'wait') client.connect().catch(ignore)
  await ready
  return undefined
}

/** Resolves when the server has answered. An error is an answer, too, unless it says that we are not let in. */
async function probe(opened: OpenedClient): Promise<void> {
  const answer = opened.probe().catch((error: unknown) => {
    if (!isErrorReply(error) || error.message.startsWith('NOAUTH')) throw error
  })
  if (!(await within(PING_TIMEOUT, answer))) throw new Error(`no answer to PING within ${PING_TIMEOUT} ms`)
}

function ignore(): void {}
