/**
 * Floor 3. Publishes on one connection.
 *
 * Messages that are published together leave by one write (cork.ts). Every answer is awaited: how many are outstanding is
 * what bounds the messages in memory.
 */
import { type Cluster, Command, Redis } from 'ioredis'
import { errors } from '../../../errors.ts'
import { isErrorReply } from '../client.ts'
import { Connection, type ConnectionInit } from '../connection.ts'
import { Cork } from '../../common/cork.ts'
import type { Sender } from '../sender.ts'

export type PublishCommand = 'publish' | 'spublish'

/** At most so many messages and bytes wait for an answer. */
const MAX_IN_FLIGHT = 10_000
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
/** Redis' own bound, `proto-max-bulk-len`: it closes the connection of who sends more. */
const MAX_PAYLOAD = 512 * 1024 * 1024

/** What comes before the channel's length. */
const HEADS: Readonly<Record<PublishCommand, string>> = {
  publish: '*3\r\n$7\r\nPUBLISH\r\n$',
  spublish: '*3\r\n$8\r\nSPUBLISH\r\n$',
}

export class Publisher extends Connection {
  #inFlight = 0
  #inFlightBytes = 0
  readonly #cork = new Cork()
  /** Who was told that it is full. */
  readonly #waiting = new Set<Sender>()

  constructor(init: ConnectionInit) {
    super('publisher', init)
  }

  /** Messages that no answer has come for. */
  get inFlight(): number {
    return this.#inFlight
  }

  protected override attach(): void {}

  protected override detach(): void {}

  /**
   * To return means: handed to a live connection.
   * @throws ARALDO_ERR_CONNECTION_LOST, ARALDO_ERR_OVERFLOW, ARALDO_ERR_TOO_LARGE.
   */
  publish(command: PublishCommand, channel: string, payload: Buffer, sender: Sender): void {
    const { client } = this
    if (client?.status !== 'ready') throw new errors.CONNECTION_LOST(sender.name)
    if (this.#isFull) {
      this.#tellFull(sender)
      throw new errors.OVERFLOW(sender.name, this.#inFlight)
    }
    if (payload.length > MAX_PAYLOAD) throw new errors.TOO_LARGE(sender.name, MAX_PAYLOAD, payload.length)
    this.#inFlight++
    this.#inFlightBytes += payload.length
    if (client instanceof Redis) this.#publishCorked(client, new Publish(command, channel, payload, sender, this))
    else this.#publishPlain(client, command, channel, payload, sender)
    if (this.#isFull) this.#tellFull(sender)
  }

  get #isFull(): boolean {
    return this.#inFlight >= MAX_IN_FLIGHT || this.#inFlightBytes >= MAX_IN_FLIGHT_BYTES
  }

  #tellFull(sender: Sender): void {
    this.#waiting.add(sender)
    sender.onFull()
  }

  /** Half of it must be answered, so that nobody is woken up for every single answer. */
  #tellRoom(): void {
    if (this.#inFlight > MAX_IN_FLIGHT / 2 || this.#inFlightBytes > MAX_IN_FLIGHT_BYTES / 2) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const sender of waiting) sender.onRoom()
  }

  /** An answer has come, or will not come any more. */
  settle(sender: Sender, bytes: number, error: unknown): void {
    this.#inFlight--
    this.#inFlightBytes -= bytes
    if (error !== undefined) {
      if (isErrorReply(error)) sender.onRefused(error)
      else sender.onUnanswered()
    }
    if (this.#waiting.size > 0) this.#tellRoom()
  }

  #publishCorked(client: Redis, publish: Publish): void {
    this.#cork.hold(client.stream)
    client.sendCommand(publish)
  }

  /** For a cluster, which knows where to; and for an ioredis of the application's that is not ours. */
  #publishPlain(client: Cluster, command: PublishCommand, channel: string, payload: Buffer, sender: Sender): void {
    const bytes = payload.length
    client[command](channel, payload).then(
      () => this.settle(sender, bytes, undefined),
      (error: unknown) => this.settle(sender, bytes, error ?? new Error('no reason given')),
    )
  }
}

/** A command of ioredis whose answer ends in a call, not in a promise; and which writes itself with fewer copies. */
class Publish extends Command {
  readonly command: PublishCommand
  readonly channel: string
  readonly payload: Buffer
  readonly sender: Sender
  readonly publisher: Publisher

  constructor(command: PublishCommand, channel: string, payload: Buffer, sender: Sender, publisher: Publisher) {
    super(command)
    this.command = command
    this.channel = channel
    this.payload = payload
    this.sender = sender
    this.publisher = publisher
    this.resolve = onAnswer
    this.reject = onError
    // Tracing would wait for that promise.
    this.isTraced = true
  }

  /** `PUBLISH channel payload` as RESP has it: an array of three bulk strings. */
  override toWritable(): Buffer {
    const { command, channel, payload } = this
    const head = `${HEADS[command]}${Buffer.byteLength(channel)}\r\n${channel}\r\n$${payload.length}\r\n`
    const headLength = Buffer.byteLength(head)
    const bytes = Buffer.allocUnsafe(headLength + payload.length + 2)
    bytes.write(head)
    payload.copy(bytes, headLength)
    bytes.write('\r\n', headLength + payload.length)
    return bytes
  }
}

// Command makes a promise for each, which nobody would look at here: a third of what a command costs. An ioredis that calls
// it otherwise makes it, and it stays open.
Object.defineProperty(Publish.prototype, 'initPromise', { value: () => {} })

function onAnswer(this: Publish): void {
  this.publisher.settle(this.sender, this.payload.length, undefined)
}

function onError(this: Publish, error: Error): void {
  this.publisher.settle(this.sender, this.payload.length, error)
}
