/**
 * Floor 3. One connection to a server: opened once, watched while it is open, lost or closed once.
 *
 * One statement at a time: the next is written when the one before is answered, so that nothing piles up in the library.
 * A server that accepts and answers nothing is noticed: an idle connection asks it (`SELECT`), and a statement has the
 * time that the server itself gives it, and a little more.
 */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { abortable, within } from '../../deadline.ts'
import { tlsOptions } from '../common/tls.ts'
import { plainError, sqlState } from './failure.ts'
import { guard, type Guarded } from './guard.ts'
import type { ServerOptions } from './options.ts'
import { placeOf } from './place.ts'

/** A row: its columns as text, `bytea` as bytes. */
export type Row = readonly (string | Buffer | null)[]

export interface SessionInit {
  readonly options: ServerOptions
  /** What the files of certificates are relative to. */
  readonly directory: string
  /** Called once, with a reason in words and no secret in it; not when {@link Session.close} was called before. */
  readonly onLost: (error: Error) => void
  /** A NOTIFY came. Must not throw. */
  readonly onNotification?: (channel: string, payload: string) => void
}

/** All of opening must be through by then (milliseconds): before the endpoint's own deadline, whose words say less. */
const OPEN_TIMEOUT = 9_000
/** A server that has not answered a ping by then (milliseconds), or by so long after a statement's end, is not there. */
const ANSWER_TIMEOUT = 4_000
/** How long the end waits for the server to close its side (milliseconds). */
const END_TIMEOUT = 500
/**
 * A relay that is cut off is noticed by the server within half a minute, and what it has locked is free; PostgreSQL's own
 * default is two hours. Source: PostgreSQL, "TCP Settings".
 */
const KEEP_ALIVE = 'SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3'
/** The type of `bytea`. */
const BYTEA = 17

const types = {
  getTypeParser: (oid: number) =>
    oid === BYTEA ? (text: string) => Buffer.from(text.slice(2), 'hex') : (text: string) => text,
}

export class Session {
  readonly #init: SessionInit
  /** Aborted with the reason when it is lost or closed. */
  readonly #ended = new AbortController()
  #client: pg.Client | undefined
  /** Settles when the last statement is answered. Never rejects. */
  #tail: Promise<unknown> = Promise.resolve()
  #statements = 0
  /** Rejects the statement that is under way. */
  #refuse: ((reason: Error) => void) | undefined
  #ping: NodeJS.Timeout | undefined

  constructor(init: SessionInit) {
    this.#init = init
  }

  /**
   * Opens it; resolves when statements can be run.
   * @throws Error that says why not.
   */
  async open(signal: AbortSignal): Promise<void> {
    const both = AbortSignal.any([signal, this.#ended.signal])
    const timer = setTimeout(() => this.#fail(new Error(`no answer within ${OPEN_TIMEOUT} ms`)), OPEN_TIMEOUT)
    try {
      const client = new pg.Client(await abortable(configOf(this.#init), both))
      this.#client = client
      client.on('error', this.#onError)
      client.on('end', this.#onEnd)
      client.on('notification', this.#onNotification)
      guard(client.connection as unknown as Guarded, (error) => this.#fail(error))
      await abortable(client.connect(), both)
      await abortable(this.query(KEEP_ALIVE), both)
      this.#schedulePing()
    } catch (error) {
      const reason = plainError(error)
      this.#end(reason)
      throw reason
    } finally {
      clearTimeout(timer)
    }
  }

  /** Neither lost nor closed. */
  get isOpen(): boolean {
    return !this.#ended.signal.aborted
  }

  /**
   * Runs one statement.
   * @param name under which the server keeps it prepared.
   * @throws Error of the server's, with a SQLSTATE; or why there is no answer.
   */
  query(text: string, values?: readonly unknown[], name?: string): Promise<readonly Row[]> {
    const limit = this.#init.options['statement-timeout'] + ANSWER_TIMEOUT
    return this.#next(() => this.#run({ text, values, name, limit }))
  }

  /** Ends it in order. Never rejects. */
  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return
    const client = this.#client
    const isIdle = this.#statements === 0
    this.#release(new Error('closed'))
    if (client === undefined) return
    const ended = new Promise((resolve) => client.once('end', resolve))
    if (isIdle) await within(END_TIMEOUT, Promise.all([client.end(), ended])).catch(() => false)
    client.connection.stream.destroy()
  }

  #next<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#statements++
    const done = this.#tail.then(() => this.#untilEnd(work))
    this.#tail = done.then(
      () => this.#statements--,
      () => this.#statements--,
    )
    return done
  }

  /** What the work comes to, unless the connection ends before. Not by its signal: a listener for each statement costs. */
  #untilEnd<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#ended.signal.throwIfAborted()
    return new Promise<Value>((resolve, reject) => {
      this.#refuse = reject
      work().then(resolve, reject)
    }).finally(() => {
      // It would keep the rows.
      this.#refuse = undefined
    })
  }

  async #run(statement: Statement): Promise<readonly Row[]> {
    const { text, values, name, limit } = statement
    const client = this.#client
    if (client === undefined) throw new Error('the connection is not open')
    const timer = setTimeout(() => this.#fail(new Error(`no answer within ${limit} ms`)), limit)
    try {
      const config = { text, rowMode: 'array', types, ...(name === undefined ? {} : { name }) } as const
      // Several statements in one text have several results: nobody looks at these.
      const result = await client.query<(string | Buffer | null)[]>({ ...config, values: values?.slice() ?? [] })
      // Taken out of it: the library's results keep one another for a while, and would keep all rows.
      return Array.isArray(result) ? [] : result.rows.splice(0)
    } catch (error) {
      // No answer of the server's: what it did is not known, and the connection is of no more use.
      if (sqlState(error) === undefined) this.#fail(error)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #schedulePing(): void {
    this.#ping = setTimeout(() => {
      if (this.#statements > 0) return this.#schedulePing()
      this.#next(() => this.#run({ text: 'SELECT', limit: ANSWER_TIMEOUT })).then(
        () => this.#schedulePing(),
        (error: unknown) => this.#fail(error),
      )
      return undefined
    }, this.#init.options['ping-interval'])
  }

  /** The connection is of no more use. Does nothing after the first call, nor when it is closed. */
  #fail(error: unknown): void {
    if (this.#ended.signal.aborted) return
    const reason = plainError(error)
    this.#end(reason)
    this.#init.onLost(reason)
  }

  #end(reason: Error): void {
    this.#release(reason)
    this.#client?.connection.stream.destroy()
  }

  /** What an old connection still says reaches nobody. */
  #release(reason: Error): void {
    if (!this.#ended.signal.aborted) this.#ended.abort(reason)
    this.#refuse?.(reason)
    clearTimeout(this.#ping)
    const client = this.#client
    if (client === undefined) return
    client.on('error', () => {})
    client.off('error', this.#onError)
    client.off('end', this.#onEnd)
    client.off('notification', this.#onNotification)
  }

  readonly #onError = (error: Error): void => this.#fail(error)
  readonly #onEnd = (): void => this.#fail(new Error('the server closed the connection'))
  readonly #onNotification = ({ channel, payload = '' }: pg.Notification): void =>
    this.#init.onNotification?.(channel, payload)
}

interface Statement {
  readonly text: string
  readonly values?: readonly unknown[] | undefined
  readonly name?: string | undefined
  /** Milliseconds. */
  readonly limit: number
}

/** All that the library would take from the environment is said, so that a config means the same everywhere. */
async function configOf({ options, directory }: SessionInit): Promise<pg.ClientConfig> {
  const { tls, 'application-name': applicationName, 'statement-timeout': statementTimeout } = options
  const place = placeOf(options)
  return {
    host: place.host,
    port: place.port,
    user: place.username,
    database: place.database,
    password: place.password ?? (() => ''),
    application_name: applicationName,
    statement_timeout: statementTimeout,
    ssl: place.tls ? sslOf((await tlsOptions(tls, directory)) ?? {}) : false,
    keepAlive: true,
  }
}

/** The library names the host in the handshake, whatever `servername` says: the certificate is held against it here. */
function sslOf(options: ConnectionOptions): ConnectionOptions {
  const { servername } = options
  if (servername === undefined) return options
  return { ...options, checkServerIdentity: (_host, certificate) => checkServerIdentity(servername, certificate) }
}
