/** Browsers that speak araldo.v1, while what is behind the relay, and the relay itself, is killed: acknowledged is safe. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import type { Owner } from '../support/process.ts'
import { configOf } from '../support/relay.ts'
import { until } from '../support/wait.ts'
import { decode, encode } from './support/message.ts'
import { connectRedis, fieldOf, PAYLOAD, readStream, startDurableRedis } from './support/redis.ts'
import { startRelay } from './support/relay.ts'
import { needs, PATIENCE, report, scaled } from './support/scale.ts'

const SENDERS = 5
const MESSAGES = scaled(200, 5_000)
/** Messages of one sender that have no answer, at most. */
const WINDOW = 32
const AGAIN = 50

/** A page as docs/connectors/websocket.md would have it: what has no answer is sent again, on the next connection too. */
class Sender {
  readonly acknowledged = new Set<number>()
  resent = 0
  readonly #url: string
  readonly #session = randomUUID()
  readonly #last: number
  readonly #unanswered = new Map<string, Buffer>()
  #next: number
  #socket: WebSocket | undefined
  #isOver = false

  constructor(t: Owner, url: string, first: number, count: number) {
    this.#url = url
    this.#next = first
    this.#last = first + count
    t.after(() => this.end())
    this.#connect()
  }

  end(): void {
    this.#isOver = true
    this.#socket?.terminate()
  }

  #connect(): void {
    if (this.#isOver) return
    const socket = new WebSocket(this.#url, 'araldo.v1')
    this.#socket = socket
    socket.on('error', () => {}) // the relay is killed on purpose
    socket.on('close', () => setTimeout(() => this.#connect(), AGAIN))
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'session', session: this.#session }))
      this.resent += this.#unanswered.size
      for (const frame of this.#unanswered.values()) socket.send(frame, { binary: false })
      this.#fill()
    })
    socket.on('message', (data: Buffer) => {
      const { type, id, retry } = JSON.parse(data.toString()) as { type: string; id: string; retry?: boolean }
      if (type === 'ack') {
        this.acknowledged.add(Number(id))
        this.#unanswered.delete(id)
        this.#fill()
      } else {
        assert.ok(type === 'nack' && retry === true, data.toString())
        setTimeout(() => this.#again(id), AGAIN)
      }
    })
  }

  #again(id: string): void {
    const frame = this.#unanswered.get(id)
    if (frame === undefined || this.#socket?.readyState !== WebSocket.OPEN) return
    this.resent++
    this.#socket.send(frame, { binary: false })
  }

  #fill(): void {
    while (this.#next < this.#last && this.#unanswered.size < WINDOW) {
      const id = String(this.#next++)
      const head = Buffer.from(`{"type":"message","id":"${id}","body":`)
      const frame = Buffer.concat([head, encode(Number(id), 'browsers'), Buffer.from('}')])
      this.#unanswered.set(id, frame)
      this.#socket?.send(frame, { binary: false })
    }
  }
}

describe('messages of browsers that are acknowledged', { skip: needs }, () => {
  test('are in the stream, although Redis and the relay are killed in turn; all of them in the end', async (t) => {
    const redis = await startDurableRedis(t)
    const relay = await startRelay({
      t,
      config: configOf(
        {
          browsers: { id: 'endpoint-websocket', path: '/ws', acknowledge: 'required' },
          events: { id: 'endpoint-redis-stream', url: redis.url, topic: 'events' },
        },
        { browsers: [{ to: 'events', delivery: 'at-least-once' }] },
      ),
    })
    const url = `ws://${relay.host}/ws`
    const senders = Array.from({ length: SENDERS }, (_, index) => new Sender(t, url, index * MESSAGES, MESSAGES))
    const count = (): number => senders.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0)
    const all = SENDERS * MESSAGES
    const reached = (share: number): Promise<unknown> =>
      until(() => count() >= all * share, {
        timeout: PATIENCE,
        interval: 2,
        message: `${share * all} messages to be safe`,
      })
    const client = await connectRedis(t, redis)
    const stored = async (): Promise<Map<number, string[]>> => {
      const ids = new Map<number, string[]>()
      await readStream(client, 'events', (entry) => {
        const { number } = decode(fieldOf(entry, PAYLOAD) ?? Buffer.alloc(0)) ?? { number: -1 }
        assert.notEqual(number, -1, 'a message was changed')
        ids.set(number, [...(ids.get(number) ?? []), String(fieldOf(entry, 'id'))])
      })
      return ids
    }
    const lost = async (): Promise<number[]> => {
      const acknowledged = senders.flatMap((sender) => [...sender.acknowledged])
      const ids = await stored()
      return acknowledged.filter((number) => !ids.has(number))
    }

    for (const share of scaled([0.3], [0.1, 0.2, 0.3, 0.4])) {
      await reached(share)
      await redis.kill()
      await redis.start()
      await until(() => client.status === 'ready', { timeout: PATIENCE, message: 'the test to be connected to Redis' })
      assert.deepEqual(await lost(), [], 'after Redis was killed')
    }
    for (const share of scaled([0.6], [0.5, 0.6, 0.7, 0.8])) {
      await reached(share)
      await relay.kill()
      assert.deepEqual(await lost(), [], 'after the relay was killed')
      await relay.start()
    }
    await reached(1)

    const ids = await stored()
    assert.equal(ids.size, all)
    const messageIds = new Set<string>()
    let duplicates = 0
    for (const each of ids.values()) {
      assert.equal(new Set(each).size, 1, 'a message that comes twice has one id')
      messageIds.add(each[0] as string)
      duplicates += each.length - 1
    }
    assert.equal(messageIds.size, all, 'two messages have two ids')
    const resent = senders.reduce((sum, sender) => sum + sender.resent, 0)
    report(t, { messages: all, lost: 0, duplicates, 'sent again by browsers': resent })
  })
})
