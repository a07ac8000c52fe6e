/**
 * Publishes at a steady rate, in a process of its own: the clients' work must not hold it up. Behind time, it catches
 * up at once; a message is marked with when it was really sent.
 *
 * Takes {@link PublisherOptions} as JSON in its first argument; says how many it has published when it begins and in
 * answer to each IPC message; ends with its parent.
 */
import { connect } from 'node:net'
import { findPlaces, mark, nanosecondsSince } from './message.ts'

export interface PublisherOptions {
  readonly port: number
  /** What it writes first, in base64. */
  readonly greeting: string
  /** What it writes for one message, in base64; made of the payload. */
  readonly command: string
  /** Messages a second. */
  readonly rate: number
  /** See {@link nanosecondsSince}. */
  readonly epoch: number
}

/** Messages that are sent in one write, at most. */
const MAX_BATCH = 1_000

const { port, greeting, command, rate, epoch } = JSON.parse(process.argv[2] ?? '') as PublisherOptions
const template = Buffer.from(command, 'base64')
const places = findPlaces(template)

let published = 0
const report = (): void => void process.send?.(published)
process.on('message', report)
process.once('disconnect', () => process.exit())

const socket = connect({ port, host: '127.0.0.1', noDelay: true })
socket.resume()
socket.once('connect', () => {
  socket.write(Buffer.from(greeting, 'base64'))
  report()
  publish(nanosecondsSince(epoch))
})

/** @param since when the first message was due (nanoseconds). */
function publish(since: number): void {
  const now = nanosecondsSince(epoch)
  const due = Math.floor(((now - since) * rate) / 1e9) + 1
  const batch = Math.min(due - published, MAX_BATCH)
  if (batch > 0) {
    const bytes = Buffer.allocUnsafe(batch * template.length)
    for (let index = 0; index < batch; index++) {
      template.copy(bytes, index * template.length)
      mark(bytes, index * template.length, places, now, published + index)
    }
    socket.write(bytes)
    published += batch
  }
  const next = since + (published * 1e9) / rate
  setTimeout(publish, Math.max(1, (next - now) / 1e6), since)
}
