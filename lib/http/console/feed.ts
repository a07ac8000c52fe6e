/**
 * Floor 3. The console's event stream (Server-Sent Events, HTML Standard, section 9.2): a snapshot of the relay once a
 * second, which is the heartbeat, too, and what went where in between.
 *
 * Bounded at every end: so many viewers, so many messages a batch (the rest are only counted), so many bytes that a
 * viewer has not read. While nobody watches, the relay is not watched and no timer runs.
 */
import type { FastifyReply } from 'fastify'
import type { ServerResponse } from 'node:http'
import { errors } from '../../errors.ts'
import type { Lane, Outcome, Trace } from '../../delivery/lane.ts'
import type { RelayView } from '../../view.ts'
import type { Show } from '../text.ts'
import { snapshotOf } from './snapshot.ts'

/** One message's end in one lane. Never its payload. */
export interface Sighting {
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly source: string
  readonly topic: string
  readonly target: string
  readonly outcome: Outcome
  readonly bytes: number
}

const MAX_VIEWERS = 16
/** Milliseconds between two batches of messages. */
const BATCH_INTERVAL = 200
const BATCHES_PER_SNAPSHOT = 5
/** Messages of one lane in a batch, so that a busy lane does not hide a quiet one; and of all lanes together. */
const MAX_BATCH_OF_LANE = 10
const MAX_BATCH = 100
/** Characters of a topic. */
const MAX_TOPIC = 200
/** A viewer that has not read this many bytes is ended. */
const MAX_BUFFERED = 1024 * 1024
/** Milliseconds that a viewer may take to read the rest when the server closes. */
const CLOSE_TIMEOUT = 500
/** What a browser is told to wait before it comes back (milliseconds). */
const RETRY = 1_000

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  // nginx would collect events until its buffer is full.
  'x-accel-buffering': 'no',
}

export class Feed {
  readonly #relay: RelayView
  readonly #show: Show
  readonly #viewers = new Set<ServerResponse>()
  #unwatch: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #ticks = 0
  #batch: Sighting[] = []
  readonly #shown = new Map<Lane, number>()
  #skipped = 0
  #isClosed = false

  constructor(relay: RelayView, show: Show) {
    this.#relay = relay
    this.#show = show
  }

  get viewers(): number {
    return this.#viewers.size
  }

  /**
   * Answers a request with the stream, which then is the feed's to end.
   * @throws ARALDO_ERR_CONSOLE_FULL, ARALDO_ERR_CLOSING
   */
  add(reply: FastifyReply): void {
    if (this.#isClosed) throw new errors.CLOSING()
    if (this.#viewers.size >= MAX_VIEWERS) throw new errors.CONSOLE_FULL(MAX_VIEWERS)
    // Headers that the host's hooks have set go out, too.
    const headers = { ...reply.getHeaders(), ...HEADERS } as Record<string, string>
    // So that the socket ends with the stream; HTTP/2 knows no such header.
    if (reply.request.raw.httpVersionMajor === 1) headers.connection = 'close'
    reply.hijack()
    const viewer = reply.raw
    viewer.once('close', () => this.#remove(viewer))
    viewer.on('error', () => this.#remove(viewer))
    viewer.writeHead(200, headers)
    viewer.write(`retry: ${RETRY}\n\n`)
    if (this.#viewers.size === 0) this.#start()
    this.#viewers.add(viewer)
    this.#write(viewer, this.#snapshot())
  }

  /** Ends every viewer's stream, and takes no more. None can hold the server back. */
  close(): void {
    this.#isClosed = true
    for (const viewer of this.#viewers) {
      const timer = setTimeout(() => viewer.destroy(), CLOSE_TIMEOUT)
      viewer.once('close', () => clearTimeout(timer))
      viewer.end()
    }
    this.#viewers.clear()
    this.#stop()
  }

  #remove(viewer: ServerResponse): void {
    if (this.#viewers.delete(viewer) && this.#viewers.size === 0) this.#stop()
  }

  #start(): void {
    this.#unwatch = this.#relay.watch(this.#onMessage)
    this.#timer = setInterval(this.#onTick, BATCH_INTERVAL).unref()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#ticks = 0
    this.#clear()
  }

  #clear(): void {
    this.#batch = []
    this.#shown.clear()
    this.#skipped = 0
  }

  readonly #onMessage: Trace = (lane, message, outcome) => {
    const shown = this.#shown.get(lane) ?? 0
    if (shown >= MAX_BATCH_OF_LANE || this.#batch.length >= MAX_BATCH) {
      this.#skipped++
      return
    }
    this.#shown.set(lane, shown + 1)
    const { source, target } = lane
    const topic = this.#show(message.topic, MAX_TOPIC)
    this.#batch.push({ time: Date.now(), source, topic, target: target.name, outcome, bytes: message.byteLength })
  }

  readonly #onTick = (): void => {
    if (this.#batch.length > 0) {
      this.#writeAll(eventOf('messages', { messages: this.#batch, skipped: this.#skipped }))
      this.#clear()
    }
    this.#ticks++
    if (this.#ticks % BATCHES_PER_SNAPSHOT === 0) this.#writeAll(this.#snapshot())
  }

  #snapshot(): Buffer {
    return eventOf('snapshot', snapshotOf(this.#relay, this.#show))
  }

  #writeAll(event: Buffer): void {
    for (const viewer of this.#viewers) this.#write(viewer, event)
  }

  #write(viewer: ServerResponse, event: Buffer): void {
    if (viewer.writableLength > MAX_BUFFERED) viewer.destroy()
    else viewer.write(event)
  }
}

/** JSON has no line breaks: one `data` line is enough. */
function eventOf(name: string, data: object): Buffer {
  return Buffer.from(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
}
