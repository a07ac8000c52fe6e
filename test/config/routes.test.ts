import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { describe, it } from 'node:test'
import { json } from '../../lib/marshallers/json.ts'
import { Message } from '../../lib/message.ts'
import { firstSteps, load, problems, withEnds, withLane } from './support.ts'

describe('a route', () => {
  const endpoints = `plugins:
  araldo.endpoints.endpoint:
    - { name: a, id: endpoint-mock }
    - { name: in, id: endpoint-in }
    - { name: out, id: endpoint-out }
`
  for (const [name, routes, expected] of [
    [
      'to nowhere',
      'a: [b, out, in2]',
      [
        "7:7 error: route 'a' → 'b': no endpoint is named 'b'; there are 'a', 'in' and 'out'",
        "7:15 error: route 'a' → 'in2': no endpoint is named 'in2'; did you mean 'in'?",
      ],
    ],
    [
      'from what is no source',
      'out: [a]',
      ["7:3 error: route 'out': endpoint 'out' of type endpoint-out is no source: no messages come in by it"],
    ],
    [
      'to what is no target',
      'a: [in]',
      ["7:7 error: route 'a' → 'in': endpoint 'in' of type endpoint-in is no target: it takes no messages"],
    ],
    [
      'that names a target twice',
      'a: [out, { to: out }]',
      ["7:12 error: route 'a' → 'out': the same target is named twice"],
    ],
    ['that is one name', 'a: out', ["7:6 error: route 'a': expected a list of endpoints' names, got 'out'"]],
    ['that is a map', 'a: { to: out }', ["7:6 error: route 'a': expected a list of endpoints' names, got a map"]],
    ['of numbers', 'a: [5]', ["7:7 error: route 'a': item 1: expected an endpoint's name, got 5"]],
    [
      'of lists',
      'a: [[out]]',
      ["7:7 error: route 'a': item 1: expected an endpoint's name or a map with 'to', got a list"],
    ],
    ['without to', 'a: [{ when: "true" }]', ["7:7 error: route 'a': item 1: 'to' is missing"]],
    ['with a slip in to', 'a: [{ too: out }]', ["7:9 error: route 'a': item 1: unknown key 'too'; did you mean 'to'?"]],
    [
      'with an unknown key',
      'a: [{ to: out, wen: x }]',
      ["7:18 error: route 'a' → 'out': unknown key 'wen'; did you mean 'when'?"],
    ],
    [
      'with an optional that is none',
      'a: [{ to: out, optional: 1 }]',
      ["7:28 error: route 'a' → 'out': optional: expected true or false, got 1"],
    ],
  ] as [string, string, string[]][]) {
    it(`cannot be one ${name}`, async () => {
      const found = await problems(`${endpoints}routes:\n  ${routes}\n`)
      assert.deepEqual(
        found.filter((line) => line.includes('error: ')),
        expected,
      )
    })
  }

  it('is warned of where its topic has no effect', async () => {
    const { warnings } = await load(`${endpoints}routes:\n  in: [a]\n  a: [{ to: out, topic: "{key}" }]\n`)
    assert.deepEqual(
      warnings.map(({ line, column, message }) => [line, column, message]),
      [
        [
          8,
          18,
          "route 'a' → 'out': topic: it has no effect: this endpoint sends everything to one place " +
            "(a parameter of its own, such as topic: '{topic}', may change that)",
        ],
      ],
    )
  })

  it('warns of endpoints and marshallers that nothing uses, and of routes that lead nowhere', async () => {
    const { warnings } = await load(`${endpoints}  araldo.marshalling:
    - { name: text, id: marshal-text }
    - { name: json, id: marshal-json }
routes:
  a: [a]
  in: []
`)
    assert.deepEqual(
      warnings.map(({ line, message }) => `${line} ${message}`),
      [
        "5 endpoint 'out': no route uses it",
        "7 marshaller 'text': no endpoint on a route uses it",
        "11 route 'in': it names no target: its messages go nowhere",
      ],
    )
  })

  it('is not blamed where it cannot be known what is declared', async () => {
    const misspelt = `${endpoints.replace('endpoints.endpoint', 'endpoints.endpoints')}routes:\n  x: [y]\n`
    assert.equal((await problems(misspelt)).length, 1)
    const noList = 'plugins:\n  araldo.endpoints.endpoint: 5\nroutes:\n  x: [y]\n'
    assert.equal((await problems(noList)).length, 1)
  })
})

describe('how a lane delivers', () => {
  const deliveryOf = async (source: string, target: string, lines = '') => {
    const config = await load(withEnds(source, target, lines))
    return config.routes[0]?.lanes[0]?.delivery ?? assert.fail()
  }

  it('is decided where the config does not say it: the strongest that the pair can', async () => {
    const { retry, buffer, concurrency, ...rest } = await deliveryOf('durable', 'durable')
    assert.deepEqual(rest, { guarantee: 'at-least-once', overflow: 'block', deadLetter: undefined })
    assert.deepEqual(retry, { attempts: Infinity, minDelay: 100, maxDelay: 30_000 })
    assert.deepEqual([buffer, concurrency], [{ messages: 10_000, bytes: 67_108_864 }, 64])
    const cases = [
      ['durable', 'plain', 'at-most-once', 'block'],
      ['plain', 'durable', 'at-most-once', 'drop-oldest'],
      ['plain', 'clients', 'at-most-once', 'disconnect'],
      ['asking', 'durable', 'at-least-once', 'drop-oldest'],
    ] as const
    for (const [source, target, guarantee, overflow] of cases) {
      const delivery = await deliveryOf(source, target)
      assert.deepEqual([delivery.guarantee, delivery.overflow], [guarantee, overflow], `${source} → ${target}`)
    }
    assert.equal((await deliveryOf('durable', 'durable', 'overflow: drop-newest')).guarantee, 'at-most-once')
    assert.equal((await deliveryOf('durable', 'durable', 'dead-letter: graveyard')).guarantee, 'at-most-once')
    const optional = await deliveryOf('durable', 'durable', 'optional: true')
    assert.deepEqual([optional.guarantee, optional.overflow], ['at-most-once', 'drop-oldest'])
    const blocking = await deliveryOf('durable', 'durable', 'optional: true\noverflow: block')
    assert.deepEqual([blocking.guarantee, blocking.overflow], ['at-most-once', 'block'])
  })

  it('is what the config says', async () => {
    const lines = `delivery: at-most-once
overflow: drop-newest
buffer: { messages: 5, bytes: 1KiB }
concurrency: 2
retry: { attempts: 3, min-delay: 1s, max-delay: 1m }
dead-letter: graveyard`
    assert.deepEqual(await deliveryOf('durable', 'durable', lines), {
      guarantee: 'at-most-once',
      overflow: 'drop-newest',
      buffer: { messages: 5, bytes: 1_024 },
      concurrency: 2,
      retry: { attempts: 3, minDelay: 1_000, maxDelay: 60_000 },
      deadLetter: 'graveyard',
    })
  })

  it('is on disk, where the config says so: at least once from acceptance on, and a full disk takes in nothing more', async () => {
    const path = resolve('data/x')
    const { durable, buffer, guarantee, overflow } = await deliveryOf(
      'plain',
      'durable',
      'buffer: { durable: true, path: data/x, messages: 5, bytes: 2GiB }',
    )
    assert.deepEqual(durable, { path, bytes: 2 * 1024 ** 3 })
    assert.deepEqual([buffer, guarantee], [{ messages: 5, bytes: 67_108_864 }, 'at-least-once'])
    assert.equal(overflow, 'drop-newest')
    const pausing = await deliveryOf('durable', 'durable', 'buffer: { durable: true, path: data/x }')
    assert.deepEqual([pausing.overflow, pausing.durable], ['block', { path, bytes: 1024 ** 3 }])
  })

  it('has its dead-letter endpoint used', async () => {
    const { warnings } = await load(withEnds('durable', 'durable', 'dead-letter: graveyard'))
    assert.deepEqual(warnings, [])
  })

  const label = "route 'a' → 'b'"
  for (const [source, target, lines, expected] of [
    [
      'plain',
      'durable',
      'delivery: at-least-once',
      `9:17 error: ${label}: delivery: at-least-once cannot be kept: the source 'a': its messages cannot be acknowledged; a durable buffer can: 'buffer: { durable: true, path: … }'`,
    ],
    [
      'plain',
      'plain',
      'delivery: at-least-once',
      `9:17 error: ${label}: delivery: at-least-once cannot be kept: the source 'a': its messages cannot be acknowledged; the target 'b': it does not confirm what it is sent`,
    ],
    [
      'durable',
      'durable',
      'delivery: at-least-once\noverflow: drop-oldest',
      `9:17 error: ${label}: delivery: at-least-once cannot be kept: overflow 'drop-oldest' loses messages`,
    ],
    [
      'durable',
      'durable',
      'delivery: at-least-once\ndead-letter: graveyard',
      `9:17 error: ${label}: delivery: at-least-once cannot be kept: the dead-letter 'graveyard': it does not confirm what it is sent`,
    ],
    [
      'durable',
      'durable',
      'delivery: at-least-once\noverflow: block\noptional: true',
      `9:17 error: ${label}: delivery: at-least-once cannot be kept: optional lanes do not hold the acknowledgement back`,
    ],
    [
      'durable',
      'durable',
      'delivery: exactly-once',
      `9:17 error: ${label}: delivery: expected 'at-most-once' or 'at-least-once', got 'exactly-once'`,
    ],
    [
      'plain',
      'plain',
      'overflow: block',
      `9:17 error: ${label}: overflow: 'a' cannot be paused: use 'drop-oldest' or 'drop-newest'`,
    ],
    [
      'plain',
      'plain',
      'overflow: disconnect',
      `9:17 error: ${label}: overflow: 'b' has no clients of its own to disconnect: use 'block', 'drop-oldest' or 'drop-newest'`,
    ],
    [
      'plain',
      'durable',
      'buffer: { path: x }',
      `9:15 error: ${label}: buffer: 'path' is for a durable buffer: add 'durable: true'`,
    ],
    [
      'plain',
      'durable',
      'buffer: { durable: true }',
      `9:15 error: ${label}: buffer: a durable buffer needs a 'path': a folder of its own`,
    ],
    [
      'plain',
      'plain',
      'buffer: { durable: true, path: x }',
      `9:15 error: ${label}: buffer: 'b' does not confirm what it is sent: nobody would know what may be taken off the disk`,
    ],
    [
      'plain',
      'durable',
      'buffer: { durable: true, path: x }\noverflow: drop-oldest',
      `9:15 error: ${label}: buffer: 'drop-oldest' is not for a durable buffer, which keeps what it has taken in: use 'block' or 'drop-newest'`,
    ],
    [
      'plain',
      'plain',
      'buffer: { mesages: 5 }',
      `9:17 error: ${label}: buffer: unknown key 'mesages'; did you mean 'messages'?`,
    ],
    [
      'plain',
      'plain',
      'buffer: { bytes: 5 apples }',
      `9:24 error: ${label}: buffer: bytes: expected a size such as 64KiB, or a whole number of bytes, got '5 apples'`,
    ],
    ['plain', 'plain', 'concurrency: 0', `9:20 error: ${label}: concurrency: expected at least 1, got 0`],
    [
      'plain',
      'plain',
      'retry: { min-delay: 1m, max-delay: 1s }',
      `9:14 error: ${label}: retry: 'min-delay' is longer than 'max-delay'`,
    ],
    [
      'plain',
      'plain',
      'dead-letter: graveyrd',
      `9:20 error: ${label}: dead-letter: no endpoint is named 'graveyrd'; did you mean 'graveyard'?`,
    ],
    [
      'plain',
      'plain',
      'dead-letter: b',
      `9:20 error: ${label}: dead-letter: it is the lane's own target, which cannot take it`,
    ],
    ['plain', 'plain', 'dead-letter: 5', `9:20 error: ${label}: dead-letter: expected text, got 5`],
    ['plain', 'plain', 'ovrflow: block', `9:7 error: ${label}: unknown key 'ovrflow'; did you mean 'overflow'?`],
  ] as const) {
    it(`cannot be ${lines.replace('\n', ', ')} from ${source} to ${target}`, async () => {
      const found = await problems(withEnds(source, target, lines))
      assert.deepEqual(
        found.filter((line) => line.includes('error: ')),
        [expected],
      )
    })
  }
})

describe('steps', () => {
  const message = new Message({
    source: 'a',
    marshaller: json,
    topic: 't',
    headers: { user: 'ada' },
    payload: Buffer.from('{"total":120,"region":"eu","id":"7"}'),
  })

  it('are compiled', async () => {
    const config = await load(
      withLane(`when: body.total > 100
map: '{"id": body.id, "total": body.total}'
key: body.id
topic: orders.{body.region}
headers: { user: "{headers.user}", relay: araldo }
optional: true`),
    )
    const [lane = assert.fail()] = config.routes[0]?.lanes ?? []
    assert.equal(lane.optional, true)
    assert.deepEqual(
      lane.steps.map(({ name }) => name),
      ['when', 'map', 'key', 'headers', 'topic'],
    )
    const steps = firstSteps(config)
    assert.equal(steps.when?.evaluate(message), true)
    assert.deepEqual(steps.map?.evaluate(message), { id: '7', total: 120 })
    assert.equal(steps.key?.evaluate(message), '7')
    assert.equal(steps.topic?.render(message), 'orders.eu')
    assert.deepEqual(
      Object.entries(steps.headers ?? {}).map(([name, template]) => [name, template.render(message)]),
      [
        ['user', 'ada'],
        ['relay', 'araldo'],
      ],
    )
  })

  it('refuse data that would choose another topic', async () => {
    const config = await load(withLane('topic: orders.{body.region}'))
    const { topic } = firstSteps(config)
    for (const region of ['a.b', 'a/b', 'a:b', '*', '>', '#', '+', 'a b', '?', '[a]', 'a\nb', '']) {
      const evil = new Message({ source: 'a', marshaller: json, body: { region } })
      assert.throws(() => topic?.render(evil), { code: 'ARALDO_ERR_TOPIC_INVALID', message: /^endpoint 'b' / })
    }
  })

  for (const [lines, expected] of [
    [
      'when: body.total * 2 > 1',
      "8:26 error: route 'a' → 'b': when: a JSON number is a double: write 2.0 in place of 2",
    ],
    ['when: "body.total >"', "8:26 error: route 'a' → 'b': when: it ends where more was expected"],
    ["when: 'bdy.total > 1'", "8:14 error: route 'a' → 'b': when: there is no variable 'bdy'; did you mean 'body'?"],
    [
      'when: topic',
      "8:13 error: route 'a' → 'b': when: expected an expression that gives true or false, this gives string",
    ],
    ['when: [a]', "8:13 error: route 'a' → 'b': when: expected an expression, got a list"],
    ['when:', "8:7 error: route 'a' → 'b': when: expected an expression, got nothing"],
    ['when: "true && \\"a\\""', /^8:13 error: route 'a' → 'b': when: logical operator requires bool operands.*$/],
    [
      'key: headers',
      "8:12 error: route 'a' → 'b': key: expected an expression that gives text, this gives map<string, string>",
    ],
    ['topic: a.{body.x', "8:16 error: route 'a' → 'b': topic: '{' without '}'; write {{ for a brace"],
    ['topic: a.{bdy.x}', "8:17 error: route 'a' → 'b': topic: there is no variable 'bdy'; did you mean 'body'?"],
    ['topic: |\n  a\n  b', "9:9 error: route 'a' → 'b': topic: a line break or NUL cannot stand here"],
    ['headers: x', "8:16 error: route 'a' → 'b': headers: expected a map of names to values, got 'x'"],
    ['headers: { "a b": x }', "8:18 error: route 'a' → 'b': headers: 'a b' cannot be a header's name"],
    ['headers: { a: [x] }', "8:21 error: route 'a' → 'b': headers: 'a': expected text, got a list"],
    [
      'when: |\n  true &&\n  bdy',
      /^9:\d+ error: .*there is no variable 'bdy'; did you mean 'body'\? \(at character 9\)$/,
    ],
  ] as [string, string | RegExp][]) {
    it(`are checked: ${lines.replaceAll('\n', ' ')}`, async () => {
      const found = await problems(withLane(lines))
      assert.equal(found.length, 1)
      if (typeof expected === 'string') assert.equal(found[0], expected)
      else assert.match(found[0] ?? '', expected)
    })
  }
})
