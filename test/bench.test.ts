/** That the benchmark's pieces work: on tiny loads, and never with an eye on the clock. */
import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { measureOne as measureBridge, type Pair, pairs } from '../bench/bridge.ts'
import { itemsOf } from '../bench/bridge/message.ts'
import { missing } from '../bench/bridge/places/index.ts'
import type { Broker, Kind } from '../bench/bridge/places/place.ts'
import { relays } from '../bench/bridge/relays.ts'
import { measureOne } from '../bench/fanout.ts'
import { BINARY, CLOSE, clientFrame, PING, PONG, serverFrame, TEXT } from '../bench/load/frames.ts'
import { type Dialect, type DialectName, dialects } from '../bench/load/dialects.ts'
import { findPlaces, mark, PAYLOAD, PAYLOAD_BYTES, readAt, readNumber } from '../bench/load/message.ts'
import { Reader } from '../bench/load/reader.ts'
import type { RouteResult } from '../bench/load/route.ts'
import { cpuNanoseconds, cpuSeconds, Histogram, median, residentKiB } from '../bench/measure.ts'
import { runOnServerCore } from '../bench/pinned.ts'
import { measureQuietly } from '../bench/quiet.ts'
import { peers } from '../bench/servers/index.ts'
import { count, figure, table } from '../bench/table.ts'
import { run } from './support/process.ts'
import { type RedisServer, startRedis } from './support/redis.ts'
import { need } from './support/require.ts'

const bench = (name: string): string => fileURLToPath(new URL(`../bench/${name}`, import.meta.url))
/** The load and what is measured have a core each. */
const cores = availableParallelism() < 2 ? 'the benchmark needs two cores' : need('taskset')

describe('the figures', () => {
  it('are medians', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 2, 3]), 2.5)
    assert.ok(Number.isNaN(median([])))
  })

  it('are percentiles that are right to 3 %', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength: 1 }), (values) => {
        const histogram = new Histogram()
        for (const value of values) histogram.record(value)
        const sorted = values.toSorted((a, b) => a - b)
        for (const share of [0.01, 0.5, 0.99, 1]) {
          const exact = (sorted[Math.max(1, Math.ceil(share * values.length)) - 1] as number) / 1_000
          const tolerance = exact * 0.03 + 0.001
          assert.ok(Math.abs(histogram.percentile(share) - exact) <= tolerance)
        }
      }),
    )
  })

  it('are not there before anything was recorded', () => {
    const histogram = new Histogram()
    assert.ok(Number.isNaN(histogram.percentile(0.5)))
    histogram.record(-5)
    assert.equal(histogram.percentile(0.5), 0)
    histogram.clear()
    assert.equal(histogram.total, 0)
  })

  it('are read off a running process', { skip: process.platform !== 'linux' }, () => {
    assert.ok(cpuSeconds(process.pid) > 0)
    assert.ok(cpuNanoseconds(process.pid) > 0)
    assert.ok(residentKiB(process.pid) > 10_000)
  })

  it('are shown with three digits that count', () => {
    assert.deepEqual([1_234_567, 12.345, 0.1844, 0, Number.NaN].map(figure), ['1,230,000', '12.3', '0.184', '0', '-'])
    assert.equal(count(1_234_567.8), '1,234,568')
    const lines = ['| server |   ms |', '| ------ | ---: |', '| quick  | 12.3 |', '| gone   |    - |']
    const rows = Object.entries({ quick: 12.34, gone: Number.NaN })
    assert.equal(table(['server', 'ms'], rows), lines.join('\n'))
  })
})

describe('a measurement', () => {
  it('is made again when it was disturbed, and the least disturbed one counts', async () => {
    const disturbances = [0.5, 0.3, 0.05, 0.01]
    const result = await measureQuietly(0.001, async () => disturbances.shift() as number, Number)
    assert.deepEqual([result, disturbances], [0.05, [0.01]])
  })
})

describe('the message', () => {
  it('is JSON of the size that it says, marks and all', () => {
    const bytes = Buffer.from(PAYLOAD)
    const places = findPlaces(bytes)
    mark(bytes, 0, places, 123_456_789_012, 42)
    assert.equal(bytes.length, PAYLOAD_BYTES)
    assert.equal(readAt(bytes, places.at), 123_456_789_012)
    assert.equal(readNumber(bytes, places.number), 42)
    const { at, number } = JSON.parse(bytes.toString()) as { at: string; number: string }
    assert.deepEqual([at, number], ['123456789012', '00000042'])
  })

  it('has its marks in every command and every record', () => {
    for (const { command, record } of Object.values(dialects)) {
      for (const template of [command, record]) {
        const bytes = Buffer.from(template)
        const places = findPlaces(bytes)
        mark(bytes, 0, places, 7, 8)
        assert.deepEqual([readAt(bytes, places.at), readNumber(bytes, places.number)], [7, 8])
      }
    }
  })
})

describe('the reader', () => {
  for (const name of Object.keys(dialects) as DialectName[]) {
    it(`counts every message of ${name}, however its bytes are cut`, () => {
      fc.assert(
        fc.property(fc.nat(40), fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (messages, cuts) => {
          const { numbers } = readInPieces(dialects[name], streamOf(name, messages), cuts)
          assert.deepEqual(numbers, [...Array(messages).keys()])
        }),
        { numRuns: 50 },
      )
    })
  }

  it('answers pings and notices a close', () => {
    const stream = Buffer.concat([
      serverFrame(PING, 'hi'),
      serverFrame(CLOSE, Buffer.of(0x03, 0xf5)),
      serverFrame(CLOSE, ''),
    ])
    const { replies, closed } = readInPieces(dialects.websocket, stream, [1])
    assert.deepEqual(replies, [clientFrame(PONG, 'hi')])
    assert.deepEqual(closed, [1013, 1005])
  })

  it('refuses what nobody published', () => {
    assert.throws(() => readInPieces(dialects.websocket, serverFrame(TEXT, 'what?'), [100]), /nobody published: what\?/)
  })
})

describe('a tiny load', { skip: cores || need('redis-server') }, () => {
  let redis: RedisServer
  before(async () => void (redis = await startRedis()))
  after(() => redis.kill())

  for (const peer of peers) {
    it(`reaches every client of ${peer.name}`, { skip: peer.missing?.() ?? false }, async () => {
      const load = { clients: 5, settleSeconds: 0.1, warmUpSeconds: 0.5, seconds: 1 }
      const { published, deliveries, missed, closed } = await measureOne(peer, 100, redis, load)
      assert.ok(published > 0)
      assert.ok(deliveries > 0)
      assert.deepEqual({ missed, closed }, { missed: 0, closed: {} })
    })
  }
})

describe('a few messages', { skip: cores }, () => {
  const amounts = { warmUp: 50, messages: 200, rate: 2_000 }
  const brokers = new Map<Kind, Broker>()
  after(async () => {
    for (const broker of brokers.values()) await broker.close()
  })
  // One pair a kind: its own source and its own target.
  const isOne = ([name, { from, to }]: [string, Pair]): boolean => from === to || name === 'redis-stream:http'
  for (const [name, pair] of [...pairs].filter(isOne)) {
    const skip = missing(pair.from) ?? missing(pair.to) ?? false
    for (const relay of relays) {
      it(`reach the other side of ${name} by ${relay.name}`, { skip }, async () => {
        for (const kind of [pair.from, pair.to]) if (!brokers.has(kind)) brokers.set(kind, await kind.open())
        const options = { ...amounts, keys: pair.from.isSafe ? 10 : 0 }
        const { microseconds, perSecond, lost, twice } = await measureBridge(pair, relay, brokers, options)
        assert.ok(microseconds > 0)
        assert.ok(perSecond > 0)
        assert.deepEqual({ lost, twice }, { lost: 0, twice: 0 })
      })
    }
  }

  it('are JSON of 128 bytes with an id, and a key where there are keys', () => {
    const items = [...itemsOf(7, 3, 2)]
    assert.deepEqual(
      items.map(({ id, key }) => [id, key]),
      [
        ['bench-7', 'key-1'],
        ['bench-8', 'key-0'],
        ['bench-9', 'key-1'],
      ],
    )
    assert.ok(items.every(({ payload }) => payload.length === PAYLOAD_BYTES))
    assert.match(items[0]?.payload.toString() ?? '', /"number":"00000007"/)
    assert.deepEqual(
      [...itemsOf(0, 1, 0)].map(({ key }) => key),
      [undefined],
    )
  })
})

describe('the routing', { skip: cores }, () => {
  it('hands every message to every target', async () => {
    const options = { targets: 3, when: 'topic == "bench"', warmUpSeconds: 0.01, seconds: 0.01 }
    const { messages, deliveries } = (await runOnServerCore(bench('load/route.ts'), options)) as RouteResult
    assert.ok(messages > 0)
    assert.equal(deliveries, messages * 3)
  })
})

describe('the command line', () => {
  for (const [args, complaint] of [
    [['flying'], /no part is named 'flying'; there are routing, fanout, memory, bridge, start/],
    [['--pairs', 'redis:pigeons'], /no pair is named 'redis:pigeons'; there are redis-stream:redis-stream, /],
    [['--peers', 'pigeons'], /no peer is named 'pigeons'; there are floor, araldo/],
    [['--rounds', 'none'], /--rounds takes a number above 0, not 'none'/],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      const { code, stderr } = await run(process.execPath, ['--import', 'tsx', bench('run.ts'), ...args])
      assert.equal(code, 1)
      assert.match(stderr, complaint)
    })
  }
})

/** What a server sends for so many messages, with what else it sends between them. */
function streamOf(name: DialectName, messages: number): Buffer {
  const { record } = dialects[name]
  const places = findPlaces(record)
  const records = Array.from({ length: messages }, (_, number) => {
    const copy = Buffer.from(record)
    mark(copy, 0, places, 0, number)
    return copy
  })
  const between: Record<DialectName, (each: Buffer) => Buffer[]> = {
    raw: (each) => [each],
    websocket: (each) => [serverFrame(PING, ''), each],
    'socket.io': (each) => [serverFrame(TEXT, '2'), each],
    nats: (each) => [serverFrame(BINARY, Buffer.concat([Buffer.from('PING\r\n'), each]))],
  }
  return Buffer.concat(records.flatMap(between[name]))
}

interface Seen {
  readonly numbers: number[]
  readonly replies: Buffer[]
  readonly closed: number[]
}

/** Reads a stream in pieces of these lengths, over and over, and hands what a piece left over back with the next one. */
function readInPieces(dialect: Dialect, stream: Buffer, lengths: readonly number[]): Seen {
  const seen: Seen = { numbers: [], replies: [], closed: [] }
  const place = findPlaces(dialect.record).number
  const reader = new Reader(dialect, {
    record: (bytes, start) => void seen.numbers.push(readNumber(bytes, start + place)),
    reply: (bytes) => void seen.replies.push(bytes),
    ready: () => {},
    closed: (code) => void seen.closed.push(code),
  })
  let stopped = 0
  for (let end = 0, piece = 0; end < stream.length; piece++) {
    end = Math.min(stream.length, end + (lengths[piece % lengths.length] as number))
    stopped = reader.read(stream, stopped, end)
  }
  assert.equal(stopped, stream.length)
  return seen
}
