/** A client of Server-Sent Events for tests: everything that comes in is queued, so nothing is missed. */
import { get, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { Owner } from './process.ts'
import { within } from './wait.ts'

export interface ServerEvent {
  readonly name: string
  readonly data: unknown
}

export class EventClient {
  /** Resolves when the stream has ended, however it did. */
  readonly ended: Promise<void>
  #text = ''
  readonly #events: ServerEvent[] = []
  #wake: (() => void) | undefined
  #hasEnded = false

  constructor(stream: Readable) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      this.#text += text
      const blocks = this.#text.split('\n\n')
      this.#text = blocks.pop() ?? ''
      for (const block of blocks) this.#add(block)
      this.#wake?.()
    })
    this.ended = new Promise((resolve) => {
      stream.on('error', () => {})
      stream.once('close', () => {
        this.#hasEnded = true
        resolve()
        this.#wake?.()
      })
    })
  }

  #add(block: string): void {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    )
    const data = fields.get('data')
    if (data !== undefined) this.#events.push({ name: fields.get('event') ?? 'message', data: JSON.parse(data) })
  }

  /** The next event of that name; those before it are thrown away. */
  async next<Data>(name: string): Promise<Data> {
    for (;;) {
      const event = this.#events.shift()
      if (event?.name === name) return event.data as Data
      if (event !== undefined) continue
      if (this.#hasEnded) throw new Error(`the stream ended while '${name}' was waited for`)
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      await within(woken, { message: `event '${name}'` })
    }
  }
}

export interface OpenedEvents {
  readonly client: EventClient
  readonly response: IncomingMessage
}

/** Opens the stream. Resolves when the headers are there, whatever the status. */
export function openEvents(url: string, t: Owner, headers: Record<string, string> = {}): Promise<OpenedEvents> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, agent: false }, (response) => {
      resolve({ response, client: new EventClient(response) })
    })
    request.once('error', reject)
    t.after(() => {
      request.destroy()
    })
  })
}
