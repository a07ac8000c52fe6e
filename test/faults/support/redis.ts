/** Redis that keeps what it has confirmed, and what the tests write into it and read out of it. */
import { Redis } from 'ioredis'
import type { Owner } from '../../support/process.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { until } from '../../support/wait.ts'
import { encode, keyOf, Receipts } from './message.ts'
import { PATIENCE } from './scale.ts'

/** What it answers is on the disk: fsync for every write, so that SIGKILL loses nothing that it has confirmed. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-percentage', '0']

export function startDurableRedis(t: Owner): Promise<RedisServer> {
  return startRedis({ args: DURABLE, t })
}

/** A client that ends with the test, and comes back by itself when the server does. */
export async function connectRedis(t: Owner, { url }: RedisServer): Promise<Redis> {
  const client = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  })
  client.on('error', () => {}) // the server is killed on purpose
  t.after(() => client.disconnect())
  await client.connect()
  return client
}

/** Messages that are read at one time: about 1 MB. */
const PAGE = 1_000

/** Reads a stream from its beginning to its end. */
export async function readStream(client: Redis, stream: string, onEntry: (entry: Entry) => void): Promise<void> {
  let from = '-'
  for (;;) {
    const page = await client.xrangeBuffer(stream, from, '+', 'COUNT', PAGE)
    for (const [id, fields] of page) onEntry({ id: id.toString(), fields })
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    from = `(${last[0].toString()}`
  }
}

export interface Entry {
  readonly id: string
  /** Names and values, by turns. */
  readonly fields: readonly Buffer[]
}

/** The value of an entry's field. */
export function fieldOf({ fields }: Entry, name: string): Buffer | undefined {
  const index = fields.findIndex((field, place) => place % 2 === 0 && field.toString() === name)
  return index === -1 ? undefined : fields[index + 1]
}

/** When the server took an entry in (milliseconds, its clock). */
export function timeOf({ id }: Entry): number {
  return Number(id.split('-', 1)[0])
}

/** What lies in a stream. */
export async function receiptsOf(client: Redis, stream: string): Promise<Receipts> {
  const receipts = new Receipts()
  await readStream(client, stream, (entry) => receipts.add(fieldOf(entry, PAYLOAD) ?? Buffer.alloc(0)))
  return receipts
}

export const PAYLOAD = 'payload'
export const KEY = 'key'
export const GROUP = 'araldo'

export interface GroupState {
  /** Entries that the group was given and has not acknowledged. */
  readonly pending: number
  /** Entries that it was not given yet. */
  readonly lag: number
  readonly read: number
}

export async function groupOf(client: Redis, stream: string): Promise<GroupState> {
  const groups = (await client.xinfo('GROUPS', stream)) as (string | number | null)[][]
  for (const pairs of groups) {
    const value = (name: string): string | number | null => pairs[pairs.indexOf(name) + 1] ?? null
    if (value('name') !== GROUP) continue
    return { pending: Number(value('pending')), lag: Number(value('lag')), read: Number(value('entries-read')) }
  }
  throw new Error(`no group ${GROUP} at ${stream}`)
}

/** Waits until the group has acknowledged everything that lies in the stream. */
export async function untilAcknowledged(client: Redis, stream: string, timeout = PATIENCE): Promise<void> {
  const isDone = async (): Promise<boolean> => {
    const { pending, lag } = await groupOf(client, stream)
    return pending === 0 && lag === 0
  }
  await until(isDone, { timeout, interval: 50, message: `all of ${stream} to be acknowledged` })
}

export interface ProducerOptions {
  readonly t: Owner
  readonly redis: RedisServer
  /** Messages a second. */
  readonly rate: number
  /** Messages in all; until it is stopped, if left out. */
  readonly count?: number
  /** As many keys as messages may be under way at one time, and more. */
  readonly keys?: number
  /** A stream to write to, or a channel to publish to. */
  readonly stream?: string
  /** Each key has a channel of its own: `<channel>-<key>`. */
  readonly channel?: string
}

/** How often it looks at what is due (milliseconds). */
const TICK = 5

/** Writes numbered messages at a rate. What the server did not confirm is written again: it may lie there twice then. */
export class Producer {
  /** Numbers that the server has confirmed. */
  readonly confirmed = new Set<number>()
  /** Resolves when all messages are confirmed, or it was stopped and what was under way has ended. */
  readonly finished: Promise<void>
  #finish: () => void = () => {}
  readonly #options: Required<Pick<ProducerOptions, 'rate' | 'count' | 'keys'>> & ProducerOptions
  readonly #client: Redis
  readonly #again: number[] = []
  readonly #timer: NodeJS.Timeout
  #next = 0
  /** Sent on the connection that is open, and not answered. */
  #underWay = new Set<number>()
  #credit = 0
  #last = performance.now()
  #isStopped = false

  constructor(client: Redis, options: ProducerOptions) {
    this.#client = client
    this.#options = { count: Infinity, keys: 500, ...options }
    this.finished = new Promise((resolve) => (this.#finish = resolve))
    this.#timer = setInterval(() => this.#tick(), TICK)
    options.t.after(() => clearInterval(this.#timer))
    // ioredis leaves what was sent on a connection that is gone without an answer for ever.
    client.on('close', () => {
      this.#again.push(...this.#underWay)
      this.#underWay = new Set()
    })
  }

  /** Ends it. @returns how many messages are confirmed. */
  async stop(): Promise<number> {
    this.#isStopped = true
    this.#endIfDone()
    await this.finished
    return this.confirmed.size
  }

  #tick(): void {
    const now = performance.now()
    const { rate, count } = this.#options
    // What it could not send while the server was away it does not make up for at once: the rate is the rate.
    if (this.#client.status === 'ready') this.#credit += ((now - this.#last) * rate) / 1_000
    this.#last = now
    while (this.#credit >= 1 && !this.#isStopped && this.#client.status === 'ready') {
      const number = this.#again.pop() ?? this.#next++
      if (number >= count) {
        this.#next = count
        break
      }
      this.#credit--
      this.#send(number)
    }
    this.#endIfDone()
  }

  #send(number: number): void {
    const { keys, stream, channel } = this.#options
    const key = keyOf(number, keys)
    const payload = encode(number, key)
    const underWay = this.#underWay
    underWay.add(number)
    const sending =
      channel === undefined
        ? this.#client.xadd(stream as string, '*', KEY, key, PAYLOAD, payload)
        : this.#client.publish(`${channel}-${key}`, payload)
    sending.then(
      () => {
        if (underWay.delete(number)) this.confirmed.add(number)
      },
      () => {
        if (underWay.delete(number) && underWay === this.#underWay) this.#again.push(number)
      },
    )
  }

  #endIfDone(): void {
    const isDone = this.#isStopped ? this.#underWay.size === 0 : this.confirmed.size >= this.#options.count
    if (!isDone) return
    clearInterval(this.#timer)
    this.#finish()
  }
}

export async function startProducer(options: ProducerOptions): Promise<Producer> {
  return new Producer(await connectRedis(options.t, options.redis), options)
}
