/**
 * Floor 3. The dead letters that a stream keeps, for people: read in order and removed one by one, without a consumer
 * group, so that nothing that reads the stream otherwise is disturbed.
 */
import { within } from '../../../deadline.ts'
import { errors } from '../../../errors.ts'
import type { Headers } from '../../../types.ts'
import { plainError, type Client, type OpenedClient } from '../client.ts'
import { ownClients } from '../clients.ts'
import { contentOf, type Content } from './fields.ts'
import type { StreamOptions } from './options.ts'

export interface Letter extends Content {
  /** The entry's id in the stream. */
  readonly entry: string
  readonly headers: Headers
}

/** Entries that are read by one command. */
const PAGE = 200
/** Milliseconds to connect in. */
const CONNECT_TIMEOUT = 10_000
const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Record<string, string>)

/** An entry as ioredis gives it. */
type RawEntry = [id: Buffer, fields: Buffer[]]

export class LetterStore {
  readonly #client: Client
  readonly #stream: string
  readonly #payloadField: string

  private constructor(client: Client, stream: string, payloadField: string) {
    this.#client = client
    this.#stream = stream
    this.#payloadField = payloadField
  }

  /**
   * @param directory what relative paths in the options are relative to.
   * @throws ARALDO_ERR_CONFIG where the stream cannot be known, or its server cannot be reached.
   */
  static async open(options: StreamOptions, directory: string): Promise<LetterStore> {
    const { connection, stream, topic = stream, 'payload-field': payloadField } = options
    if (topic === undefined || /[{}]/.test(topic)) {
      throw new errors.CONFIG('the endpoint has no stream of one name: dead letters can be read from one stream alone')
    }
    if (connection !== undefined) {
      throw new errors.CONFIG("the endpoint uses a connection of the application's, which is not here: give it a url")
    }
    const { client } = await opened(options, directory)
    return new LetterStore(client, topic, payloadField)
  }

  /** Letters that there are. */
  count(): Promise<number> {
    return this.#client.xlen(this.#stream)
  }

  /** All of them, oldest first. What comes in meanwhile may be among them; what is removed meanwhile is not. */
  async *list(): AsyncGenerator<Letter> {
    let start = '-'
    for (;;) {
      const page = (await this.#client.xrangeBuffer(this.#stream, start, '+', 'COUNT', PAGE)) as RawEntry[]
      for (const raw of page) yield this.#letter(raw)
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return
      start = `(${last[0].toString()}`
    }
  }

  /** @throws ARALDO_ERR_CONFIG that names the first that is not there. */
  async get(entries: readonly string[]): Promise<Letter[]> {
    const letters: Letter[] = []
    for (const entry of entries) {
      const [raw] = (await this.#client.xrangeBuffer(this.#stream, entry, entry, 'COUNT', 1)) as RawEntry[]
      if (raw === undefined) throw new errors.CONFIG(`there is no dead letter '${entry}' in '${this.#stream}'`)
      letters.push(this.#letter(raw))
    }
    return letters
  }

  async remove(entry: string): Promise<void> {
    await this.#client.xdel(this.#stream, entry)
  }

  async close(): Promise<void> {
    await within(1_000, this.#client.quit()).catch(() => false)
    this.#client.disconnect()
  }

  #letter([id, fields]: RawEntry): Letter {
    const content = contentOf(fields, this.#payloadField)
    return { ...content, entry: id.toString(), headers: content.headers ?? NO_HEADERS }
  }
}

async function opened(options: StreamOptions, directory: string): Promise<OpenedClient> {
  const abort = new AbortController()
  const open = ownClients(options, directory, false)
  const failures: unknown[] = []
  let client: OpenedClient | undefined
  try {
    client = await open('publisher', abort.signal)
    client.client.on('error', (error: unknown) => failures.push(error))
    const connecting = client.client.connect().then(() => client?.probe())
    if (await within(CONNECT_TIMEOUT, connecting)) return client
    failures.push(new Error(`no answer within ${CONNECT_TIMEOUT} ms`))
  } catch (error) {
    failures.push(error)
  }
  abort.abort()
  client?.client.disconnect()
  // What a client emits first says more than that its connection is closed.
  const [cause] = failures
  throw new errors.CONFIG(`Redis cannot be reached: ${plainError(cause).message}`, { cause })
}
