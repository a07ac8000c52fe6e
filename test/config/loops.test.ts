import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConfigError, loadConfig } from '../../lib/config.ts'
import { defineEndpoint, type EndpointType } from '../../lib/endpoint.ts'
import { builtinEndpoints } from '../../lib/endpoints/index.ts'
import { createRegistries } from '../../lib/plugin.ts'
import { EVERY_ENDPOINT } from '../support/every-type.ts'
import { configOf } from '../support/relay.ts'

interface ChannelOptions {
  readonly in?: string
  readonly out?: string
  readonly fails?: string
}

/** A broker's channels: what goes out by one comes in by the other of that name. */
function channelType(id: string, headers: boolean, shared = headers): EndpointType {
  const text = { type: 'string', description: 'A channel.' }
  return defineEndpoint<ChannelOptions>({
    id,
    schema: { type: 'object', properties: { in: text, out: text, fails: text } },
    capabilities: ({ in: from, out: to }) => ({
      source: from === undefined ? null : { ack: false, pause: false, replay: false, headers, topics: true },
      target:
        to === undefined
          ? null
          : { confirm: false, headers, topics: true, echo: from === to, ...(shared && { shared }) },
    }),
    hears({ in: from, fails }, sender) {
      if (fails !== undefined) throw new Error(`thrown with ${fails}`)
      return from !== undefined && from === sender.out
    },
    plugin: async () => {},
  })
}

const types = [channelType('endpoint-plain', false), channelType('endpoint-headed', true)]

/** Endpoints by name: `plain a b` has channel a in and b out; `-` for none. */
function text(endpoints: Readonly<Record<string, string>>, routes: string): string {
  const entries = Object.entries(endpoints).map(([name, line]) => {
    const [type, from = '-', to = from] = line.split(' ')
    const ends = Object.entries({ in: from, out: to }).flatMap(([key, value]) =>
      value === '-' ? [] : `${key}: ${value}`,
    )
    return `    - { name: ${[name, `id: endpoint-${type}`, ...ends].join(', ')} }\n`
  })
  return `plugins:\n  araldo.endpoints.endpoint:\n${entries.join('')}routes:\n${routes.trimEnd().replace(/^/gm, '  ')}\n`
}

/** `9:3 error: …` each; without warnings of what is not used. */
async function problems(input: string, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const found = await loadConfig(input, createRegistries(types), { env }).then(
    ({ warnings }) => warnings,
    (error: unknown) => (error instanceof ConfigError ? error.diagnostics : assert.fail(String(error))),
  )
  return found
    .filter(({ message }) => !message.endsWith('no route uses it'))
    .map(({ line, column, severity, message }) => `${line}:${column} ${severity}: ${message}`)
}

const FOR_EVER =
  "messages would go round for ever; take one of these lanes out, or, if a step of one ends the loop, set 'may-loop: true' there"
const GUARDED = 'each message is delivered to each of them once, by its header araldo-hops'

describe('a loop without headers is refused, and drawn at the lane that closes it', () => {
  for (const [name, endpoints, routes, expected] of [
    [
      'of an endpoint that hears itself',
      { a: 'plain x' },
      'a: [a]',
      [`5:7 error: route 'a' → 'a': loop: a → a: ${FOR_EVER}`],
    ],
    [
      'of two',
      { a: 'plain x', b: 'plain y' },
      'a: [b]\nb: [a]',
      [`7:7 error: route 'b' → 'a': loop: a → b → a: ${FOR_EVER}`],
    ],
    [
      'of three, one of which is two endpoints of one channel',
      { a: 'plain x', b: 'plain - y', c: 'plain y -', d: 'plain z' },
      'a: [b]\nc: [{ to: d }]\nd: [a]',
      [`10:7 error: route 'd' → 'a': loop: a → b (heard by c) → d → a: ${FOR_EVER}`],
    ],
    [
      'that is written from its middle on',
      { a: 'plain x', b: 'plain y', c: 'plain z' },
      'b: [c]\na: [b]\nc: [a]',
      [`9:7 error: route 'c' → 'a': loop: b → c → a → b: ${FOR_EVER}`],
    ],
    [
      'of an endpoint that hears only another',
      { a: 'plain x y', b: 'plain y x' },
      'a: [b]\nb: [a]',
      [
        `6:7 error: route 'a' → 'b': loop: a → b (heard by a): ${FOR_EVER}`,
        `7:7 error: route 'b' → 'a': loop: b → a (heard by b): ${FOR_EVER}`,
      ],
    ],
    [
      'through dead letters',
      { a: 'headed x', gone: 'headed g', out: 'plain - z' },
      'a: [{ to: out, dead-letter: gone }]\ngone: [a]',
      [
        `8:10 error: route 'gone' → 'a': loop: a → dead letters to gone → a: ${FOR_EVER.replace('messages', 'what cannot be delivered')}`,
      ],
    ],
    [
      'beside one that headers end',
      { a: 'headed x', b: 'headed y', c: 'plain z', d: 'plain z -' },
      'a: [b]\nb: [a]\nd: [c]',
      [
        `9:7 warning: route 'b' → 'a': loop: a → b → a: ${GUARDED}`,
        `10:7 error: route 'd' → 'c': loop: d → c (heard by d): ${FOR_EVER}`,
      ],
    ],
  ] as [string, Record<string, string>, string, string[]][]) {
    it(name, async () => {
      const found = await problems(text(endpoints, routes))
      assert.deepEqual(found, expected)
    })
  }

  it('in a config that is an object, too', async () => {
    const config = {
      plugins: { 'araldo.endpoints.endpoint': [{ name: 'a', id: 'endpoint-plain', in: 'x', out: 'x' }] },
      routes: { a: ['a'] },
    }
    await assert.rejects(loadConfig(config, createRegistries(types)), {
      message: `error: route 'a' → 'a': loop: a → a: ${FOR_EVER}`,
    })
  })

  it('however many there are: twenty, and a word of the others', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `e${index}`)
    const endpoints = Object.fromEntries(names.map((name) => [name, `plain ${name}`]))
    const found = await problems(text(endpoints, names.map((name) => `${name}: [${name}]`).join('\n')))
    assert.equal(found.filter((line) => line.includes(' error: ')).length, 20)
    assert.match(found[0] ?? '', /there are more loops than the 20 that are drawn$/)
  })

  it('as far as it can be read', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `e${index}`)
    const endpoints = Object.fromEntries(names.map((name) => [name, `plain ${name}`]))
    const routes = names.map((name, index) => `${name}: [${names[(index + 1) % 300]}]`).join('\n')
    const found = await problems(text(endpoints, routes))
    assert.equal(found.length, 1)
    assert.match(found[0] ?? '', /loop: e0 → e1 → .* → e16 → … \(284 more\): /)
  })
})

describe('a loop is', () => {
  it('no error where every endpoint on it carries headers', async () => {
    const found = await problems(text({ a: 'headed x', b: 'headed - y', c: 'headed y -' }, 'a: [b]\nc: [a]'))
    assert.deepEqual(found, [`8:7 warning: route 'c' → 'a': loop: a → b (heard by c) → a: ${GUARDED}`])
  })

  it('nothing to tell of where a lane on it may loop', async () => {
    for (const type of ['plain', 'headed']) {
      const endpoints = { a: `${type} x`, b: `${type} y` }
      assert.deepEqual(await problems(text(endpoints, 'a: [{ to: b, may-loop: true }]\nb: [a]')), [])
      assert.equal((await problems(text(endpoints, 'a: [{ to: b, may-loop: false }]\nb: [a]'))).length, 1)
    }
  })

  for (const [name, endpoints, routes] of [
    ['a pipeline that passes one broker twice', { a: 'plain x', b: 'plain y', c: 'plain - z' }, 'a: [b]\nb: [c]'],
    ['a channel that nobody routes on', { a: 'plain x', b: 'plain y -', c: 'plain - y' }, 'a: [c]'],
    ['two types with one channel name', { a: 'plain x', b: 'headed - x' }, 'a: [b]'],
    [
      'lanes from one source that meet',
      { a: 'plain x', b: 'plain y', c: 'plain z', d: 'plain - w' },
      'a: [b, c]\nb: [d]\nc: [d]',
    ],
    ['a route without targets', { a: 'plain x', b: 'plain y' }, 'a: [b]\nb: []'],
  ] as [string, Record<string, string>, string][]) {
    it(`not: ${name}`, async () => {
      const found = await problems(text(endpoints, routes))
      assert.deepEqual(
        found.filter((line) => line.includes('loop')),
        [],
      )
    })
  }

  it('not looked for at endpoints whose own errors leave open what they are', async () => {
    const endpoints = text({ a: 'plain x', b: 'nonsense y' }, 'a: [b]\nb: [a]')
    assert.equal((await problems(endpoints)).length, 1)
  })
})

it("a type that fails at hearing is an error at its endpoint's place, its secrets kept", async () => {
  const input = text({ a: 'plain x', b: 'plain - y' }, 'a: [b]').replace('in: x', 'in: x, fails: "${SECRET}"')
  const found = await problems(input, { SECRET: 'hunter2' })
  assert.deepEqual(found, [
    "3:15 error: endpoint 'a': 'endpoint-plain' failed to say whether it hears 'b': thrown with ***",
  ])
})

it('the hop header cannot be set by a step', async () => {
  for (const name of ['araldo-hops', 'Araldo-Hops']) {
    const [found] = await problems(text({ a: 'plain x', b: 'plain - y' }, `a: [{ to: b, headers: { ${name}: x } }]`))
    assert.match(found ?? '', /^6:\d+ error: route 'a' → 'b': headers: '[aA]raldo-[hH]ops' is the relay's own$/)
  }
})

it('every lane that is on a loop is on one that is drawn, and no other, whatever the routes', async () => {
  const channels = ['v', 'w', 'x', 'y']
  const endpoint = fc.record({ from: fc.constantFrom(...channels), to: fc.constantFrom(...channels) })
  const lanes = fc.uniqueArray(fc.tuple(fc.nat(5), fc.nat(5)), { selector: String, maxLength: 9, minLength: 1 })
  await fc.assert(
    fc.asyncProperty(fc.array(endpoint, { minLength: 6, maxLength: 6 }), lanes, async (ends, pairs) => {
      const endpoints = Object.fromEntries(ends.map(({ from, to }, index) => [`e${index}`, `plain ${from} ${to}`]))
      const routes = [...new Set(pairs.map(([source]) => source))].map((source) => {
        const targets = pairs.filter(([each]) => each === source).map(([, to]) => `e${to}`)
        return `e${source}: [${targets.join(', ')}]`
      })
      const found = await problems(text(endpoints, routes.join('\n')))
      const drawn = new Set<string>()
      for (const line of found) {
        const drawing = /loop: (.*): messages would/.exec(line)?.[1] ?? assert.fail(line)
        for (const lane of lanesIn(drawing)) drawn.add(lane)
      }
      assert.equal(new Set(found).size, found.length)
      const expected = pairs.filter((lane) => leadsBack(lane, pairs, ends)).map(([source, to]) => `e${source} e${to}`)
      assert.deepEqual([...drawn].toSorted(), expected.toSorted())
    }),
    { numRuns: 150 },
  )
})

/** `a → b (heard by c) → d (heard by a)`: `a b`, `c d`. */
function lanesIn(drawing: string): string[] {
  const [first = '', ...rest] = drawing.split(' → ')
  let source = first
  return rest.map((part) => {
    const [target = '', listener = target] = part.split(/ \(heard by |\)/)
    const lane = `${source} ${target}`
    source = listener === '' ? target : listener
    return lane
  })
}

type Pair = readonly [number, number]

/** Whether a message that the lane has delivered can come to the lane again, by trying every way. */
function leadsBack(lane: Pair, lanes: readonly Pair[], ends: readonly { from: string; to: string }[]): boolean {
  const next = ([, target]: Pair): Pair[] => lanes.filter(([source]) => ends[source]?.from === ends[target]?.to)
  const reached = new Set(next(lane))
  for (const each of reached) for (const following of next(each)) reached.add(following)
  return reached.has(lane)
}

/** What another hears that is not told apart: it reads where the first one writes, and the other way round. */
const PAIRS: Readonly<Record<string, readonly [object, object]>> = {
  'endpoint-amqp': [
    { queue: 'a', topic: 'b' },
    { queue: 'b', topic: 'a' },
  ],
  'endpoint-jetstream': [
    { subject: 'a', topic: 'b' },
    { subject: 'b', topic: 'a' },
  ],
  'endpoint-mqtt': [
    { subscribe: 'a/#', topic: 'b/{key}' },
    { subscribe: 'b/+', topic: 'a/x' },
  ],
  'endpoint-nats': [
    { subject: 'a.>', topic: 'b.{key}' },
    { subject: 'b.*', topic: 'a.x' },
  ],
  'endpoint-postgres': [
    { outbox: 'a', table: 'b' },
    { outbox: 'public.b', table: 'a' },
  ],
  'endpoint-redis': [
    { channel: 'a', topic: 'b' },
    { channel: 'b', topic: 'a' },
  ],
  'endpoint-redis-stream': [
    { stream: 'a', topic: 'b' },
    { stream: 'b', topic: 'a' },
  ],
  'endpoint-websocket-client': [{}, {}],
}
/** Of these, two have nothing in common, or clients that are nobody's endpoint. */
const APART = ['endpoint-app', 'endpoint-http', 'endpoint-mock', 'endpoint-websocket']

describe('two endpoints of one broker that feed one another', () => {
  for (const [id, [one, other]] of Object.entries(PAIRS)) {
    const { echo: _, ...place } = EVERY_ENDPOINT[id] ?? {}
    const load = async (changed: object): Promise<string[]> => {
      const first = { id, ...place, ...one }
      const second = { id, ...place, ...other, ...changed }
      const config = configOf({ first, second }, { first: ['first'], second: ['second'] })
      return loadConfig(config, createRegistries()).then(
        ({ warnings }) => warnings.map(({ message }) => message),
        (error: unknown) => (error instanceof ConfigError ? error.diagnostics.map(({ message }) => message) : []),
      )
    }
    it(`are a loop: ${id}`, async () => {
      const found = await load({})
      assert.ok(
        found.some((message) => /first.*second.*first|second.*first.*second/s.test(message)),
        found.join('\n'),
      )
    })

    it(`are none at two brokers: ${id}`, async () => {
      const scheme = /^\w+/.exec(String(place['url']))?.[0] ?? ''
      const rest = String(place['url']).slice(scheme.length).replace('127.0.0.1', 'elsewhere.example')
      assert.deepEqual(await load({ url: `${scheme}${rest}` }), [])
    })
  }

  it('is asked of each type', () => {
    assert.deepEqual([...Object.keys(PAIRS), ...APART].toSorted(), builtinEndpoints.map(({ id }) => id).toSorted())
  })
})
