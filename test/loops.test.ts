/** Loops in a running relay, and between relays: what each target gets, and what the ledgers say. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defineEndpoint, Endpoint, type EndpointContext, type EndpointType } from '../lib/endpoint.ts'
import { MockEndpoint } from '../lib/endpoints/mock.ts'
import { HOPS_HEADER } from '../lib/hops.ts'
import type { Message } from '../lib/message.ts'
import type { LaneView } from '../lib/view.ts'
import { configOf, relayServer } from './support/relay.ts'

type Server = Awaited<ReturnType<typeof relayServer>>

function lanesOf({ araldo }: Server): Record<string, LaneView> {
  const lanes = araldo.routes.flatMap(({ source, lanes: all }) =>
    all.map((lane) => [`${source} ${lane.target}`, lane] as const),
  )
  return Object.fromEntries(lanes)
}

function kept({ araldo }: Server, name: string): readonly string[] {
  const mock = araldo.endpoints.get(name)
  return mock instanceof MockEndpoint ? mock.kept.map(({ payload }) => payload.toString()) : assert.fail()
}

function assertLedgers(server: Server): void {
  for (const { ledger } of Object.values(lanesOf(server))) {
    const dropped = Object.values(ledger.dropped).reduce((sum, count) => sum + count, 0)
    const ended = ledger.delivered + ledger.filtered + dropped + ledger.deadLettered
    assert.deepEqual([ledger.received, ledger.waiting], [ended, 0])
  }
}

const mock = (channel: string) => ({ id: 'endpoint-mock', channel })
const app = { id: 'endpoint-app' }

describe('a loop of endpoints that carry headers', () => {
  it('delivers each message to each of them once, and counts what came round', async (t) => {
    const endpoints = { app, left: mock('l'), 'left-in': mock('l'), right: mock('r'), 'right-in': mock('r') }
    const routes = { app: ['left'], 'left-in': ['right'], 'right-in': ['left'] }
    const lines: string[] = []
    const stream = { write: (line: string) => void lines.push(line) }
    const server = await relayServer(t, configOf(endpoints, routes), { logger: { level: 'info', stream } })
    await server.ready()
    for (let number = 0; number < 100; number++) await server.araldo.publish('app', number)
    for (const name of ['left', 'right'])
      assert.deepEqual(
        kept(server, name),
        Array.from({ length: 100 }, (_, n) => `${n}`),
      )
    const { 'right-in left': back, 'left-in right': there } = lanesOf(server)
    assert.deepEqual([back?.looped, back?.ledger.filtered, back?.ledger.received], [100, 100, 100])
    assert.deepEqual([there?.looped, there?.ledger.delivered], [0, 100])
    assert.deepEqual(back?.steps, ['hops'])
    assertLedgers(server)
    const loops = lines.filter((line) => line.includes('a message came round'))
    assert.equal(loops.length, 1)
    assert.match(loops[0] ?? '', /"source":"right-in","target":"left"/)
    assert.equal(lines.filter((line) => line.includes('loop: left-in → right (heard by right-in) → left')).length, 1)
  })

  it('of three, each of which is fed from outside, too', async (t) => {
    const names = ['a', 'b', 'c']
    const ends = names.flatMap((name) => [
      [name, mock(name)],
      [`${name}-in`, mock(name)],
      [`app-${name}`, app],
    ])
    const next = (index: number): string => names[(index + 1) % 3] as string
    const routes = Object.fromEntries(
      names.flatMap((name, index) => [
        [`${name}-in`, [next(index)]],
        [`app-${name}`, [name]],
      ]),
    ) as Record<string, string[]>
    const server = await relayServer(t, configOf(Object.fromEntries(ends) as Record<string, typeof app>, routes))
    await server.ready()
    for (const name of names) await server.araldo.publish(`app-${name}`, `from ${name}`)
    for (const name of names)
      assert.deepEqual(
        kept(server, name).toSorted(),
        names.map((each) => `"from ${each}"`),
      )
    assertLedgers(server)
  })

  it('goes on where a lane may loop, until its own step ends it', async (t) => {
    const endpoints = { app, work: mock('w'), stages: mock('w') }
    const again = { to: 'work', 'may-loop': true, when: 'body < 5.0', map: 'body + 1.0' }
    const server = await relayServer(t, configOf(endpoints, { app: ['work'], stages: [again] }))
    await server.ready()
    await server.araldo.publish('app', 1)
    assert.deepEqual(kept(server, 'work'), ['1', '2', '3', '4', '5'])
    const { 'stages work': lane } = lanesOf(server)
    assert.deepEqual([lane?.ledger.filtered, lane?.looped, lane?.steps], [1, 0, ['when', 'map']])
  })

  it('knows each part of a message that a step has split, and what a step has set beside', async (t) => {
    const endpoints = { app, left: mock('l'), 'left-in': mock('l'), right: mock('r'), 'right-in': mock('r') }
    const split = { to: 'right', split: 'body', map: 'body * 2.0', headers: { user: 'ada' } }
    const server = await relayServer(
      t,
      configOf(endpoints, { app: ['left'], 'left-in': [split], 'right-in': ['left'] }),
    )
    await server.ready()
    await server.araldo.publish('app', [1, 2, 3])
    assert.deepEqual(kept(server, 'right'), ['2', '4', '6'])
    assert.deepEqual(kept(server, 'left'), ['[1,2,3]'])
    const { 'right-in left': back, 'left-in right': there } = lanesOf(server)
    assert.deepEqual([back?.looped, there?.looped, there?.ledger.delivered], [3, 0, 3])
    assertLedgers(server)
  })

  it('lets what goes through a broker twice on its way pass', async (t) => {
    const endpoints = { app, work: mock('w'), 'work-in': mock('w'), done: mock('d') }
    const server = await relayServer(t, configOf(endpoints, { app: ['work'], 'work-in': ['done'] }))
    await server.ready()
    await server.araldo.publish('app', 1)
    assert.deepEqual([kept(server, 'work'), kept(server, 'done')], [['1'], ['1']])
  })

  it('ends a message that relays have delivered as often as they may, as invalid', async (t) => {
    const endpoints = { app, out: mock('o'), gone: { id: 'endpoint-mock' } }
    const routes = { app: [{ to: 'out', 'dead-letter': 'gone' }] }
    const server = await relayServer(t, configOf(endpoints, routes))
    await server.ready()
    const hops = Array.from({ length: 64 }, (_, index) => `r${index}/x`).join(', ')
    await server.araldo.publish('app', 1, { headers: { [HOPS_HEADER]: hops, user: 'ada' } })
    const gone = server.araldo.endpoints.get('gone')
    const [letter = assert.fail()] = gone instanceof MockEndpoint ? gone.kept : []
    assert.equal(letter.headers['araldo-error-code'], 'ARALDO_ERR_TOO_MANY_HOPS')
    // It begins anew: sent again, nothing stands in its way.
    assert.deepEqual([letter.headers[HOPS_HEADER], letter.headers['user']], [undefined, 'ada'])
    assert.deepEqual(kept(server, 'out'), [])
    assertLedgers(server)
  })
})

/** Channels of a broker: each message goes to one of those that hear the channel, in turn, as in a consumer group. */
class Broker {
  readonly deliveries = new Map<string, string[]>()
  readonly #listeners = new Map<string, BusEndpoint[]>()
  #turn = 0

  join(channel: string, endpoint: BusEndpoint): void {
    this.#listeners.set(channel, [...(this.#listeners.get(channel) ?? []), endpoint])
  }

  send(channel: string, payload: Buffer, headers: Message['headers']): void {
    const deliveries = this.deliveries.get(channel) ?? []
    this.deliveries.set(channel, deliveries)
    deliveries.push(payload.toString())
    assert.ok(deliveries.length < 1_000, 'the loop never ends')
    const listeners = this.#listeners.get(channel) ?? []
    listeners[this.#turn++ % listeners.length]?.hear(payload, headers)
  }
}

interface BusOptions {
  readonly in?: string
  readonly out?: string
}

class BusEndpoint extends Endpoint<BusOptions> {
  readonly #broker: Broker

  constructor(context: EndpointContext<BusOptions>, broker: Broker) {
    super(context)
    this.#broker = broker
  }

  protected override connect(): void {
    if (this.options.in !== undefined) this.#broker.join(this.options.in, this)
  }

  protected override disconnect(): void {}

  override send(message: Message): void {
    this.#broker.send(this.options.out ?? '', message.encode(this.marshaller), message.headers)
  }

  hear(payload: Buffer, headers: Message['headers']): void {
    this.receive(this.message({ payload, headers }))
  }
}

function busType(broker: Broker): EndpointType {
  const channel = { type: 'string', description: 'A channel.' }
  return defineEndpoint<BusOptions>({
    id: 'endpoint-bus',
    schema: { type: 'object', properties: { in: channel, out: channel } },
    capabilities: ({ in: from, out }) => ({
      source: from === undefined ? null : { ack: false, pause: false, replay: false, headers: true, topics: false },
      target:
        out === undefined ? null : { confirm: false, headers: true, topics: false, echo: from === out, shared: true },
    }),
    hears: ({ in: from }, { out }) => from !== undefined && from === out,
    plugin: async (_scope, context) => context.attach(new BusEndpoint(context, broker)),
  })
}

describe('relays of one broker', () => {
  const bus = (ends: BusOptions) => ({ id: 'endpoint-bus', ...ends })

  async function start(t: Parameters<typeof relayServer>[0], broker: Broker, config: object): Promise<Server> {
    const server = await relayServer(t, { config, types: [busType(broker)] })
    await server.ready()
    return server
  }

  it('that copy one channel to the other and back deliver each message to each once', async (t) => {
    const broker = new Broker()
    const east = configOf({ from: bus({ in: 'west' }), to: bus({ out: 'east' }) }, { from: ['to'] })
    const west = configOf({ from: bus({ in: 'east' }), to: bus({ out: 'west' }) }, { from: ['to'] })
    const servers = [await start(t, broker, east), await start(t, broker, west)]
    broker.send('west', Buffer.from('1'), {})
    // The first of west's two is the original.
    assert.deepEqual(Object.fromEntries(broker.deliveries), { west: ['1', '1'], east: ['1'] })
    servers.forEach(assertLedgers)
  })

  it('that share the work of one config deliver each message once, if they have one id', async (t) => {
    const endpoints = { a: bus({ in: 'a' }), b: bus({ out: 'b' }), c: bus({ in: 'b' }), d: bus({ out: 'a' }) }
    const routes = { a: ['b'], c: ['d'] }
    for (const [ids, deliveries] of [
      [['one', 'one', 'one'], 1],
      [['one', 'two', 'three'], 3],
    ] as const) {
      const broker = new Broker()
      const servers: Server[] = []
      for (const instance of ids) servers.push(await start(t, broker, configOf(endpoints, routes, { instance })))
      broker.send('a', Buffer.from('1'), {})
      const [first, ...others] = broker.deliveries.get('b') ?? []
      assert.equal(first, '1')
      assert.ok(others.length < deliveries, `${others.length + 1} deliveries for the ids ${ids.join(', ')}`)
      servers.forEach(assertLedgers)
    }
  })

  it('pass a message on from one to the next, whatever their endpoints are called', async (t) => {
    const broker = new Broker()
    for (const [from, to] of Object.entries({ a: 'b', b: 'c', c: 'd' })) {
      await start(t, broker, configOf({ from: bus({ in: from }), to: bus({ out: to }) }, { from: ['to'] }))
    }
    broker.send('a', Buffer.from('1'), {})
    assert.deepEqual(broker.deliveries.get('d'), ['1'])
  })
})
