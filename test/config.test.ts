import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { formatDiagnostic, loadConfig } from '../lib/config.ts'
import { defaultDelivery } from '../lib/delivery/guarantee.ts'
import type { SourceCapabilities, TargetCapabilities } from '../lib/types.ts'
import { BOTH, failure, load, problems, registries, withParameters } from './config/support.ts'
import { temporaryFolder } from './support/process.ts'

/** The sample of the original's manual, set out as YAML. */
const MANUAL = `global:
    server-port: 54321
    log-level: debug
plugins:
  araldo.marshalling:
    - name: marshal-json
      id: marshal-json
  araldo.endpoints.endpoint:
    - name: mock_1
      id: endpoint-mock
      channel: channel_1
    - name: redis_2
      id: endpoint-mock
      channel: channel_2
    - name: redis_3
      id: endpoint-mock
      channel: channel 3
routes:
  redis_1:
    - redis_2
    - redis_3
`

function file(text: string | Buffer, name = 'araldo.yaml'): string {
  const path = join(temporaryFolder('config'), name)
  writeFileSync(path, text)
  return path
}

describe("the original manual's sample", () => {
  it('is refused with one error, at its line and with the nearest name, and one warning', async () => {
    assert.deepEqual(await problems(MANUAL), [
      "9:13 warning: endpoint 'mock_1': no route uses it",
      "19:3 error: route 'redis_1': no endpoint is named 'redis_1'; did you mean 'redis_2'?",
    ])
  })

  it("loads with mock_1 as the route's key, and nothing to warn of", async () => {
    const config = await load(MANUAL.replace('redis_1:', 'mock_1:'))
    assert.deepEqual(config.warnings, [])
    assert.equal(config.global.serverPort, 54321)
    assert.equal(config.global.logLevel, 'debug')
    assert.deepEqual(
      config.endpoints.map(({ name, type, options }) => [name, type.id, options]),
      [
        ['mock_1', 'endpoint-mock', { channel: 'channel_1' }],
        ['redis_2', 'endpoint-mock', { channel: 'channel_2' }],
        ['redis_3', 'endpoint-mock', { channel: 'channel 3' }],
      ],
    )
    const delivery = defaultDelivery(BOTH.source as SourceCapabilities, BOTH.target as TargetCapabilities)
    assert.deepEqual(config.routes, [
      {
        source: 'mock_1',
        lanes: [
          { to: 'redis_2', optional: false, wiretap: false, steps: [], delivery },
          { to: 'redis_3', optional: false, wiretap: false, steps: [], delivery },
        ],
      },
    ])
  })
})

describe('global', () => {
  it('has the defaults that the manual tells', async () => {
    assert.deepEqual((await load('routes:\n')).global, {
      serverPort: 54321,
      serverHost: '127.0.0.1',
      logLevel: undefined,
      shutdownTimeout: 20_000,
      console: false,
    })
  })

  it('is read, durations as milliseconds', async () => {
    const text =
      'global:\n  server-port: 0\n  server-host: ::1\n  log-level: warning\n  shutdown-timeout: 1.5s\n  console: true\n'
    assert.deepEqual((await load(text)).global, {
      serverPort: 0,
      serverHost: '::1',
      logLevel: 'warning',
      shutdownTimeout: 1500,
      console: true,
    })
  })

  for (const [lines, expected] of [
    ['server-port: 65536', '2:16 error: global: server-port: expected at most 65535, got 65536'],
    ['server-port: -1', '2:16 error: global: server-port: expected at least 0, got -1'],
    ['server-port: 1.5', '2:16 error: global: server-port: expected a whole number, got 1.5'],
    ['server-port: "80"', "2:16 error: global: server-port: expected a whole number, got '80'"],
    ['server-port: .inf', '2:16 error: global: server-port: expected a whole number, got .inf'],
    ['server-port: [1]', '2:16 error: global: server-port: expected a whole number, got a list'],
    ['server-port:', '2:3 error: global: server-port: expected a whole number, got nothing'],
    ['server-host: ""', '2:16 error: global: server-host: must not be empty'],
    ['sever-port: 1', "2:3 error: global: unknown key 'sever-port'; did you mean 'server-port'?"],
    ['console: yes', "2:12 error: global: console: expected true or false, got 'yes'"],
    ['shutdown-timeout: 5', undefined],
    ['shutdown-timeout: 5 parsecs', /2:21 error: global: shutdown-timeout: expected a duration such as 500ms or 30s/],
    ['shutdown-timeout: 90d', "2:21 error: global: shutdown-timeout: expected at most 2147483647ms, got '90d'"],
    ['log-level: INFO', /2:14 error: global: log-level: expected 'debug', .*, got 'INFO'; did you mean 'info'\?/],
    ['log-level: warn', /did you mean 'warning'\?/],
  ] as const) {
    it(`${expected === undefined ? 'takes' : 'refuses'} ${lines}`, async () => {
      const text = `global:\n  ${lines}\nroutes: {}\n`
      if (expected === undefined) await load(text)
      else {
        const [, found, ...others] = await problems(text)
        assert.deepEqual(others, [])
        if (typeof expected === 'string') assert.equal(found, expected)
        else assert.match(found ?? '', expected)
      }
    })
  }
})

describe('the shape of a config', () => {
  const warning = 'warning: there are no routes: nothing is relayed'
  for (const [name, text, expected] of [
    ['nothing at all', '', ['error: the config is empty']],
    ['blank lines', '\n\n', ['error: the config is empty']],
    ['comments alone', '# later\n# more\n', ['error: the config is empty']],
    ['a document without content', '---\n...\n', ['error: the config is empty']],
    ['a list', '- a\n- b\n', ["1:1 error: expected a map with 'global', 'plugins' and 'routes', got a list"]],
    ['text', 'hello\nworld\n', ["1:1 error: expected a map with 'global', 'plugins' and 'routes', got 'hello world'"]],
    ['an unclosed list', 'global: [a\n', /^2:1 error: not YAML: /],
    ['a tab', 'global:\n\tserver-port: 1\n', /^2:1 error: not YAML: /],
    ['two documents', 'global: {}\n---\nroutes: {}\n', /^3:1 error: a second document starts here/],
    [
      'a duplicate key',
      'global: {}\nglobal: {}\n',
      [warning, "2:1 error: duplicate key 'global': it is in this map already"],
    ],
    ['an unknown section', 'route: {}\n', ["1:1 error: unknown key 'route'; did you mean 'routes'?"]],
    [
      'a section that is none',
      'global: 5\nplugins: []\nroutes: x\n',
      [
        '1:9 error: global: expected a map, got 5',
        '2:10 error: plugins: expected a map, got a list',
        "3:9 error: routes: expected a map, got 'x'",
      ],
    ],
    [
      'an unknown category',
      'plugins:\n  araldo.endpoint: []\nroutes: {}\n',
      [warning, "2:3 error: plugins: unknown key 'araldo.endpoint'; did you mean 'araldo.endpoints.endpoint'?"],
    ],
    [
      'a category that is no list',
      'plugins:\n  araldo.marshalling: {}\nroutes: {}\n',
      [warning, '2:23 error: plugins: araldo.marshalling: expected a list, got a map'],
    ],
    ['__proto__', '__proto__: { a: 1 }\nroutes: {}\n', [warning, "1:1 error: the key '__proto__' is not allowed"]],
    [
      'constructor, deep down',
      withParameters('labels: { constructor: x }\nhost: h'),
      ["5:17 error: the key 'constructor' is not allowed"],
    ],
    ['a tag', 'global: !!set {}\nroutes: {}\n', [warning, "1:9 error: the tag '!!set' means nothing here"]],
    ['a map as a key', '{a: 1}: x\nroutes: {}\n', [warning, '1:1 error: a key must be text, this is a map']],
  ] as const) {
    it(`cannot be ${name}`, async () => {
      const found = await problems(text)
      if (expected instanceof RegExp) assert.match(found.join('\n'), expected)
      else assert.deepEqual(found, expected)
    })
  }

  it('may have sections and lists whose lines are all commented out', async () => {
    const config = await load('global:\nplugins:\n  araldo.marshalling:\n  araldo.endpoints.endpoint:\nroutes:\n')
    assert.deepEqual(config.warnings, [{ severity: 'warning', message: 'there are no routes: nothing is relayed' }])
  })

  it('reports all errors of a file, in its order', async () => {
    const text = `
global:
  server-port: x
  log-level: loud
plugins:
  araldo.endpoints.endpoint:
    - name: one
      id: endpoint-moc
    - name: two
      id: endpoint-mock
      chanel: a
    - name: two
      id: endpoint-mock
    - nmae: three
      id: endpoint-out
    - just text
routes:
  two: [three, tow]
  three: [two, two]
  nowhere: [one]
`
    assert.deepEqual(
      (await problems(text)).map((line) => line.replace(/ \(endpoint types are added .*/, '')),
      [
        "3:16 error: global: server-port: expected a whole number, got 'x'",
        "4:14 error: global: log-level: expected 'debug', 'info', 'warning', 'error' or 'fatal', got 'loud'",
        "8:11 error: endpoint 'one': id: no endpoint type is 'endpoint-moc'; did you mean 'endpoint-mock'?",
        "11:7 error: endpoint 'two': unknown key 'chanel'; did you mean 'channel'?",
        "12:13 error: endpoint 'two': name: another endpoint has this name",
        "14:7 error: plugins: araldo.endpoints.endpoint: item 4: unknown key 'nmae'; did you mean 'name'?",
        "16:7 error: plugins: araldo.endpoints.endpoint: item 5: expected a map with 'name' and 'id', got 'just text'",
        "18:16 error: route 'two' → 'tow': no endpoint is named 'tow'; did you mean 'two'?",
        "19:3 error: route 'three': endpoint 'three' of type endpoint-out is no source: no messages come in by it",
        "19:16 error: route 'three' → 'two': the same target is named twice",
        "20:3 error: route 'nowhere': no endpoint is named 'nowhere'; there are 'one', 'two' and 'three'",
      ],
    )
  })

  it('counts what is more than two hundred', async () => {
    const error = await failure(`routes:\n${Array.from({ length: 300 }, (_, index) => `  r${index}: [x]\n`).join('')}`)
    assert.equal(error.diagnostics.filter(({ severity }) => severity === 'error').length, 200)
    assert.match(error.message, /\nand 400 more errors$/)
  })
})

describe('aliases', () => {
  it('and merge keys work', async () => {
    const config = await load(`
plugins:
  araldo.endpoints.endpoint:
    - &first { name: a, id: endpoint-mock, channel: one }
    - <<: *first
      name: b
    - { name: c, channel: three, <<: [*first, { channel: two }] }
routes:
  a: &targets [b, c]
  b: *targets
`)
    assert.deepEqual(
      config.endpoints.map(({ name, options }) => [name, options]),
      [
        ['a', { channel: 'one' }],
        ['b', { channel: 'one' }],
        ['c', { channel: 'three' }],
      ],
    )
    assert.deepEqual(
      config.routes.map(({ lanes }) => lanes.map(({ to }) => to)),
      [
        ['b', 'c'],
        ['b', 'c'],
      ],
    )
  })

  it('that stand for too much are refused at once', { timeout: 5_000 }, async () => {
    const levels = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(10)}]`)
    const [bomb = ''] = await problems(`a0: &a0 [x, x]\n${levels.join('\n')}\n`)
    assert.match(bomb, /^6:\d+ error: more than 100000 values, aliases counted for what they stand for$/)
    const [many = ''] = await problems(`a: &a x\nb: [${'*a,'.repeat(1001)}]\n`)
    assert.match(many, /^2:\d+ error: more than 1000 aliases$/)
    const chain = Array.from({ length: 99 }, (_, i) => `c${i + 1}: &c${i + 1} [[*c${i}]]`)
    const [deep = ''] = await problems(`c0: &c0 x\n${chain.join('\n')}\n`)
    assert.match(deep, /error: more than 100 levels of lists and maps$/)
  })

  it('must have an anchor that is no part of themselves', async () => {
    assert.deepEqual(await problems('a: *b\n'), ["1:4 error: no anchor is named 'b'"])
    assert.deepEqual(await problems('a: &a [*a]\n'), ["1:8 error: alias 'a' stands within itself"])
    const [, , merge] = await problems('a: &a 5\nroutes:\n  <<: *a\n')
    assert.equal(merge, "3:3 error: '<<' merges maps: expected a map or a list of maps")
  })
})

describe('a file', () => {
  it('names itself in every error, as compilers do', async () => {
    const path = file('global:\n  server-port: x\n')
    const error = await failure(path)
    assert.equal(
      error.message,
      `${path}: warning: there are no routes: nothing is relayed\n` +
        `${path}:2:16: error: global: server-port: expected a whole number, got 'x'`,
    )
    assert.deepEqual(error.diagnostics.at(-1), {
      severity: 'error',
      message: "global: server-port: expected a whole number, got 'x'",
      file: path,
      line: 2,
      column: 16,
    })
  })

  it('is what relative paths are relative to', async () => {
    const path = file('routes: {}\n')
    const config = await load(path)
    assert.equal(config.file, path)
    assert.equal(config.directory, join(path, '..'))
  })

  it('may begin with a byte order mark, and have any line ends', async () => {
    const path = file(`\uFEFFglobal:\r\n  server-port: 1\r\nroutes: {}\r\n`)
    assert.equal((await load(path)).global.serverPort, 1)
    assert.match((await problems('global:\r\n  server-port: x\r\n')).join(), /2:16 error/)
    assert.match((await problems('global:\r  server-port: x\r')).join(), /2:16 error/)
  })

  const folder = temporaryFolder('config')
  for (const [name, path, expected] of [
    ['there is none', join(folder, 'none.yaml'), 'there is no such file'],
    ['it is a folder', folder, 'it is a folder'],
    ['it is a device', '/dev/zero', 'it is no regular file'],
    ['it is a link to itself', join(folder, 'loop'), 'it is a link to itself'],
    ['its name cannot be one', 'a\0b', 'no file can have that name'],
    ['a part of its path is a file', '/dev/null/araldo.yaml', 'there is no such file'],
  ] as const) {
    it(`is one clear error if ${name}`, async () => {
      if (path.endsWith('loop')) symlinkSync(path, path)
      const error = await failure(path)
      assert.equal(error.diagnostics.length, 1)
      assert.equal(error.diagnostics[0]?.message, `the config cannot be read: ${expected}`)
    })
  }

  it('is one clear error if it may not be read', async (t) => {
    if (process.getuid?.() !== 0) {
      const path = file('routes: {}\n')
      const { chmodSync } = await import('node:fs')
      chmodSync(path, 0)
      assert.match((await failure(path)).message, /permission denied/)
      return
    }
    // Root may read everything: be somebody else for a moment.
    const path = join(temporaryFolder('config'), 'secret')
    mkdirSync(path, { mode: 0o700 })
    process.seteuid?.(65534)
    t.after(() => process.seteuid?.(0))
    const error = await failure(join(path, 'araldo.yaml')).finally(() => process.seteuid?.(0))
    assert.match(error.message, /the config cannot be read: permission denied$/)
  })

  it('is one clear error if it is a socket', async (t) => {
    const path = join(temporaryFolder('config'), 'socket')
    const server = createServer().listen(path)
    t.after(() => server.close())
    await once(server, 'listening')
    assert.match((await failure(path)).message, /it is no regular file$/)
  })

  it('is at most 1 MiB, and looked at before it is read', async () => {
    const path = file(Buffer.alloc(5 * 1024 * 1024, 'a'))
    assert.match((await failure(path)).message, /the config cannot be read: it is larger than 1 MiB$/)
    assert.deepEqual(await problems('# '.repeat(600_000) + '\n'), ['error: the config is larger than 1 MiB'])
  })

  it('is UTF-8', async () => {
    const path = file(Buffer.from([0x61, 0x3a, 0x20, 0xff, 0x0a]))
    assert.match((await failure(path)).message, /it is not UTF-8 text$/)
  })

  it('is not text on one line: that is told', async () => {
    assert.match((await failure('routes: {}')).message, /a text without a line break is taken for a path/)
  })
})

describe('an object', () => {
  it('loads as the same YAML does', async () => {
    const fromText = await load(MANUAL.replace('redis_1', 'mock_1'))
    const fromObject = await load({
      global: { 'server-port': 54321, 'log-level': 'debug' },
      plugins: {
        'araldo.marshalling': [{ name: 'marshal-json', id: 'marshal-json' }],
        'araldo.endpoints.endpoint': [
          { name: 'mock_1', id: 'endpoint-mock', channel: 'channel_1' },
          { name: 'redis_2', id: 'endpoint-mock', channel: 'channel_2' },
          { name: 'redis_3', id: 'endpoint-mock', channel: 'channel 3', marshalling: undefined },
        ],
      },
      routes: { mock_1: ['redis_2', 'redis_3'] },
    })
    const comparable = (config: typeof fromText): unknown => ({
      ...config,
      endpoints: config.endpoints.map(({ type, ...rest }) => ({ ...rest, type: type.id })),
      marshallers: config.marshallers.map(({ type, ...rest }) => ({ ...rest, type: type.id })),
    })
    assert.deepEqual(comparable(fromObject), comparable(fromText))
  })

  it('has errors without places, but with paths in words', async () => {
    const error = await failure({ global: { 'server-port': 70000 }, routes: {} })
    assert.equal(
      error.message,
      'error: global: server-port: expected at most 65535, got 70000\nwarning: there are no routes: nothing is relayed',
    )
  })

  it('is never changed', async () => {
    const endpoint = Object.freeze({ name: 'e', id: 'endpoint-picky', host: 'h', buffer: '1MiB' })
    const config = Object.freeze({
      plugins: Object.freeze({ 'araldo.endpoints.endpoint': Object.freeze([endpoint]) }),
      routes: Object.freeze({ e: Object.freeze(['e']) }),
    })
    assert.equal((await load(config)).endpoints.length, 1)
    assert.equal(endpoint.buffer, '1MiB')
  })

  for (const [name, input, expected] of [
    ['a function', { global: { console: () => true } }, 'global: console: a function means nothing in a config'],
    ['a bigint', { global: { 'server-port': 1n } }, 'global: server-port: a bigint means nothing in a config'],
    ['a class instance', { global: new Date() }, "global: an object of class 'Date' means nothing in a config"],
    ['a Map', new Map(), "an object of class 'Map' means nothing in a config"],
    ['__proto__', JSON.parse('{"routes":{"__proto__":["a"]}}'), "routes: the key '__proto__' is not allowed"],
    ['a list', [], "expected a map with 'global', 'plugins' and 'routes', got a list"],
  ] as [string, object, string][]) {
    it(`cannot hold ${name}`, async () => {
      const { diagnostics } = await failure(input)
      const errors = diagnostics.filter(({ severity }) => severity === 'error')
      assert.deepEqual(
        errors.map(({ message }) => message),
        [expected],
      )
    })
  }

  it('that holds itself, or throws when it is looked at, is an error', async () => {
    const loop: Record<string, unknown> = {}
    loop['global'] = loop
    assert.match((await failure(loop)).message, /a list or map that holds itself/)
    const trap = {
      get global(): never {
        throw new Error('out of order')
      },
    }
    assert.match((await failure(trap)).message, /the config cannot be read: out of order/)
    assert.match((await failure({ routes: { a: Array.from({ length: 200_000 }) } })).message, /more than 100000 values/)
  })
})

test('the errors of a config come before its warnings are lost', async () => {
  const { diagnostics } = await failure(MANUAL)
  assert.equal(diagnostics.map(formatDiagnostic).join('\n'), (await failure(MANUAL)).message)
})

test('ten endpoints are loaded in well under 100 ms', async () => {
  const names = Array.from({ length: 10 }, (_, index) => `e${index}`)
  const declared = names.map((name) => `    - { name: ${name}, id: endpoint-picky, host: h, buffer: 1MiB }\n`).join('')
  const lane = (to: string): string => `    - { to: ${to}, when: body.total > 100.0, topic: "orders.{body.region}" }\n`
  const routes = names.map((name, index) => `  ${name}:\n${lane(`e${(index + 1) % 10}`)}`).join('')
  const text = `plugins:\n  araldo.endpoints.endpoint:\n${declared}routes:\n${routes}`
  const times: number[] = []
  for (let round = 0; round < 7; round++) {
    const start = performance.now()
    await loadConfig(text, registries(), { env: {} })
    times.push(performance.now() - start)
  }
  const median = times.toSorted((a, b) => a - b)[3] as number
  // A guard against a change of kind, not a measurement: on a busy machine it is 15 ms.
  assert.ok(median < 1000, `${median} ms`)
})
