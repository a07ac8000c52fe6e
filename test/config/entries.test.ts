import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { load, problems, withParameters } from './support.ts'

describe('a type that needs packages', () => {
  const config = (id: string): string =>
    `plugins:\n  araldo.endpoints.endpoint:\n    - { name: a, id: ${id} }\nroutes: {}\n`

  it('is refused where one is not installed, with the command that installs it', async () => {
    const expected =
      "3:22 error: endpoint 'a': 'endpoint-needy' needs a package that is not installed: npm install no-such-package@5"
    assert.ok((await problems(config('endpoint-needy'))).includes(expected))
  })

  it('is refused where one is there in another major version, which is named', async () => {
    const found = (await problems(config('endpoint-dated'))).find((each) => each.startsWith('3:22 error')) ?? ''
    assert.match(
      found,
      /^3:22 error: endpoint 'a': 'endpoint-dated' needs a package that is not installed in this version \(there is ajv 8\.[\d.]+\): npm install ajv@6$/,
    )
  })

  it('is fine where all are', async () => {
    const { endpoints } = await load(config('endpoint-sated'))
    assert.equal(endpoints[0]?.name, 'a')
  })
})

describe('an entry', () => {
  const entry = (lines: string): string => `plugins:\n  araldo.endpoints.endpoint:\n    - ${lines}\nroutes: {}\n`
  for (const [name, lines, expected] of [
    ['no name', '{ id: endpoint-mock }', ["3:7 error: plugins: araldo.endpoints.endpoint: item 1: 'name' is missing"]],
    ['no id', '{ name: a }', ["3:7 error: endpoint 'a': 'id' is missing"]],
    ['a name that is a number', '{ name: 5, id: endpoint-mock }', /item 1: name: expected a letter, then .*, got 5/],
    ['a name with a space', '{ name: a b, id: endpoint-mock }', /3:15 error: .*item 1: name: expected a letter/],
    ['a long name', `{ name: ${'a'.repeat(65)}, id: endpoint-mock }`, /name: expected a letter/],
    ['a reserved name', '{ name: prototype, id: endpoint-mock }', /name: 'prototype' is reserved/],
    ['a name from a variable', '{ name: "${X:-a}", id: endpoint-mock }', /the value of \$\{X\} cannot be a name/],
    [
      'an id that is no text',
      '{ name: a, id: [x] }',
      ["3:22 error: endpoint 'a': id: expected the id of a type, got a list"],
    ],
    [
      'an id of the other list',
      '{ name: a, id: marshal-json }',
      ["3:22 error: endpoint 'a': id: 'marshal-json' belongs under 'araldo.marshalling'"],
    ],
    [
      'required that is no boolean',
      '{ name: a, id: endpoint-mock, required: 1 }',
      ["3:47 error: endpoint 'a': required: expected true or false, got 1"],
    ],
    [
      'a slip in required',
      '{ name: a, id: endpoint-mock, require: true }',
      ["3:37 error: endpoint 'a': unknown key 'require'; did you mean 'required'?"],
    ],
    [
      'marshalling that is no name',
      '{ name: a, id: endpoint-mock, marshalling: 5 }',
      ["3:50 error: endpoint 'a': marshalling: expected the name of a marshaller, got 5"],
    ],
    [
      'a marshaller that is not declared',
      '{ name: a, id: endpoint-mock, marshalling: json }',
      [
        "3:50 error: endpoint 'a': marshalling: no marshaller is named 'json'; none is declared (JSON is built in: leave it out)",
      ],
    ],
  ] as [string, string, string[] | RegExp][]) {
    it(`cannot have ${name}`, async () => {
      const found = (await problems(entry(lines))).filter((line) => line.includes('error: '))
      if (expected instanceof RegExp) assert.match(found.join('\n'), expected)
      else assert.deepEqual(found, expected)
      assert.equal(found.length, 1)
    })
  }

  it('of an unknown type says how types are added, and nothing follows from it', async () => {
    const text = withParameters('anything: goes\nname2: x', 'endpoint-kafka')
    assert.deepEqual(await problems(text), [
      "4:11 error: endpoint 'e': id: no endpoint type is 'endpoint-kafka'; there are 'endpoint-mock', 'endpoint-in', 'endpoint-out', 'endpoint-needy', 'endpoint-dated', 'endpoint-sated', 'endpoint-picky', 'endpoint-plain', 'endpoint-durable', 'endpoint-asking' and 'endpoint-clients' (endpoint types are added by installing a package that brings them, or by a path such as './my-type.js' as the id)",
    ])
  })

  it('has a marshaller, required, and nothing else of the common keys among its options', async () => {
    const config = await load(`plugins:
  araldo.marshalling:
    - { name: plain, id: marshal-text }
  araldo.endpoints.endpoint:
    - { name: a, id: endpoint-mock, marshalling: plain, required: true }
routes:
  a: [a]
`)
    const [{ name, marshalling, required, options } = assert.fail()] = config.endpoints
    assert.deepEqual(
      { name, marshalling, required, options },
      { name: 'a', marshalling: 'plain', required: true, options: {} },
    )
    assert.deepEqual(
      config.marshallers.map((each) => [each.name, each.type.id, each.options]),
      [['plain', 'marshal-text', {}]],
    )
  })
})

describe('parameters', () => {
  it('have their defaults, and sizes and durations as plain numbers', async () => {
    const config = await load(withParameters('url: x\nbuffer: 1MiB\nchannels: [a, b]\nlabels: { a: b }'))
    assert.deepEqual(config.endpoints[0]?.options, {
      url: 'x',
      retries: 3,
      mode: 'fast',
      buffer: 1048576,
      timeout: 500,
      channels: ['a', 'b'],
      labels: { a: 'b' },
    })
  })

  for (const [lines, expected] of [
    ['', ["3:7 error: endpoint 'e': 'url' or 'host' is missing"]],
    ['url: ""', ["5:12 error: endpoint 'e': url: must not be empty"]],
    ['url: 5', ["5:12 error: endpoint 'e': url: expected text, got 5"]],
    ['host: h\nretries: 10', ["6:16 error: endpoint 'e': retries: expected at most 9, got 10"]],
    [
      'host: h\nmode: fasst',
      ["6:13 error: endpoint 'e': mode: expected 'fast' or 'careful', got 'fasst'; did you mean 'fast'?"],
    ],
    ['host: h\npath: ws', ["6:13 error: endpoint 'e': path: expected text such as '/ws', got 'ws'"]],
    ['host: h\nbuffer: 1000', ["6:15 error: endpoint 'e': buffer: expected at least 1KiB, got 1000"]],
    ['host: h\nbuffer: 1000B', ["6:15 error: endpoint 'e': buffer: expected at least 1KiB, got '1000B'"]],
    ['host: h\nbuffer: 2GiB', ["6:15 error: endpoint 'e': buffer: expected at most 1GiB, got '2GiB'"]],
    [
      'host: h\nbuffer: 1 mb',
      ["6:15 error: endpoint 'e': buffer: expected a size such as 64KiB, or a whole number of bytes, got '1 mb'"],
    ],
    [
      'host: h\nbuffer: true',
      ["6:15 error: endpoint 'e': buffer: expected a size such as 64KiB, or a whole number of bytes, got true"],
    ],
    ['host: h\nchannels: 5', ["6:17 error: endpoint 'e': channels: expected text, or a list, got 5"]],
    ['host: h\nchannels: []', ["6:17 error: endpoint 'e': channels: must not be empty"]],
    ['host: h\nchannels: [a, 5]', ["6:21 error: endpoint 'e': channels: item 2: expected text, got 5"]],
    ['host: h\nchannels: [a, b, a]', ["6:17 error: endpoint 'e': channels: items 1 and 3 are the same"]],
    ['host: h\ntls: 5', ["6:12 error: endpoint 'e': tls: expected true or false, or a map, got 5"]],
    ['host: h\ntls: {}', ["6:12 error: endpoint 'e': tls: 'ca' is missing"]],
    ['host: h\ntls: { cas: x }', ["6:14 error: endpoint 'e': tls: unknown key 'cas'; did you mean 'ca'?"]],
    ['host: h\nnested: { deep: 1 }', ["6:17 error: endpoint 'e': nested: unknown key 'deep'; its keys are 'depth'"]],
    ['host: h\nlabels: { a: 1 }', ["6:20 error: endpoint 'e': labels: a: expected text, got 1"]],
    ['host: h\nhots: x', ["6:7 error: endpoint 'e': unknown key 'hots'; did you mean 'host'?"]],
    ['host: h\nurl: u', ["5:13 error: endpoint 'e': host: stands beside 'url'"]],
    ['url: whole', ["3:13 error: endpoint 'e': as a whole"]],
  ] as [string, string[]][]) {
    it(`are refused: ${lines.replaceAll('\n', ', ') || 'none'}`, async () => {
      assert.deepEqual(await problems(withParameters(lines)), expected)
    })
  }

  it('that make a type throw are an error, too', async () => {
    assert.deepEqual(await problems(withParameters('url: throw\nsecret: s')), [
      "3:13 error: endpoint 'e': 'endpoint-picky' failed on these parameters: thrown with s",
    ])
  })
})

it('an endpoint that its type refuses is not held against the routes that name it', async () => {
  const text = withParameters('url: whole')
    .replace('[e]', '[e, out]')
    .replace('routes:', '    - { name: out, id: endpoint-picky, url: whole }\nroutes:')
  assert.deepEqual(await problems(text), [
    "3:13 error: endpoint 'e': as a whole",
    "6:15 error: endpoint 'out': as a whole",
  ])
})
