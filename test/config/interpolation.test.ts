import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../lib/config.ts'
import { json } from '../../lib/marshallers/json.ts'
import { Message } from '../../lib/message.ts'
import { temporaryFolder } from '../support/process.ts'
import { firstSteps, failure, load, problems, withLane, withParameters } from './support.ts'

async function parameters(lines: string, env: NodeJS.ProcessEnv, directory?: string): Promise<unknown> {
  const { endpoints } = await load(withParameters(lines), { env, directory })
  return endpoints[0]?.options
}

async function host(value: string, env: NodeJS.ProcessEnv, directory?: string): Promise<unknown> {
  const options = (await parameters(`host: ${value}`, env, directory)) as { host: unknown }
  return options.host
}

describe('a variable', () => {
  it('is replaced wherever it stands in a scalar', async () => {
    assert.equal(
      await host('redis://${USER}:${PASSWORD}@localhost', { USER: 'ada', PASSWORD: 'x' }),
      'redis://ada:x@localhost',
    )
  })

  it('has a default for where it is unset or empty, as in a shell', async () => {
    assert.equal(await host('${A:-b}', {}), 'b')
    assert.equal(await host('${A:-b}', { A: '' }), 'b')
    assert.equal(await host('${A:-b}', { A: 'c' }), 'c')
    assert.equal(await host('${REDIS_URL:-redis://127.0.0.1:6379}', {}), 'redis://127.0.0.1:6379')
    assert.equal(await host('"${A:-}"', {}), '')
    assert.equal(await host('"${A}"', { A: '' }), '')
  })

  it('is not looked for in the prototype of the environment', async () => {
    const [found] = await problems(withParameters('host: ${toString}'))
    assert.match(found ?? '', /the environment variable 'toString' is not set/)
  })

  it('that is escaped stays as it is written', async () => {
    assert.equal(await host('$${A}', { A: 'x' }), '${A}')
    assert.equal(await host('$$${A}', { A: 'x' }), '$${A}')
    assert.equal(await host('a $ b $A {A}', { A: 'x' }), 'a $ b $A {A}')
  })

  it('that is missing is one error at its line, and nothing follows from it', async () => {
    const text = withParameters('host: ${HOST}\nretries: ${RETRIES}\nurl: "a${URL}"').replace(
      '  e: [e]',
      '  e: ["${TO}"]',
    )
    assert.deepEqual(await problems(text), [
      "5:13 error: the environment variable 'HOST' is not set; set it, or give a default: ${HOST:-…}",
      "6:16 error: the environment variable 'RETRIES' is not set; set it, or give a default: ${RETRIES:-…}",
      "7:14 error: the environment variable 'URL' is not set; set it, or give a default: ${URL:-…}",
      "9:8 error: the environment variable 'TO' is not set; set it, or give a default: ${TO:-…}",
    ])
  })

  for (const section of [
    'global: "${X}"',
    'plugins: "${X}"',
    'routes: "${X}"',
    'plugins:\n  araldo.endpoints.endpoint: "${X}"',
    'plugins:\n  araldo.endpoints.endpoint: ["${X}"]',
  ]) {
    it(`that is missing is one error where a section should be: ${section.replaceAll('\n', ' ')}`, async () => {
      const found = await problems(`${section}\n`)
      assert.equal(found.filter((line) => line.includes('error: ')).length, 1, found.join('\n'))
    })
  }

  it('that is missing in an object says where in words', async () => {
    const error = await failure({ routes: { a: [{ to: 'b', when: '${X}' }] } })
    assert.match(error.message, /error: routes: a: item 1: when: the environment variable 'X' is not set/)
  })

  for (const bad of ['${', '${A', '${}', '${a b}', '${A:b}', '${A-b}', '${1}', '${A:-${B}}', '${A:?}']) {
    it(`is not ${bad}`, async () => {
      const [found] = await problems(withParameters(`host: '${bad}'`), { env: { A: 'x', B: 'y' } })
      assert.match(found ?? '', /^5:14 error: .*write \$\$\{ for a literal \$\{$/)
    })
  }

  it('in a list or map on one line needs quotes: that is told', async () => {
    const [found] = await problems(withParameters('labels: { a: ${A} }'))
    assert.match(found ?? '', /^5:\d+ error: not YAML: .*; within \{ \} and \[ \], '\$\{A\}' must stand in quotes$/)
  })

  it('is a number, or true or false, where it stands unquoted and that is wanted', async () => {
    const text =
      'global:\n  server-port: ${PORT}\n  console: ${CONSOLE}\n  log-level: ${LEVEL:-info}\n  shutdown-timeout: ${T}\n'
    const { global } = await load(`${text}routes: {}\n`, { env: { PORT: '8080', CONSOLE: 'true', T: '3s' } })
    assert.deepEqual(global, {
      serverPort: 8080,
      serverHost: '127.0.0.1',
      logLevel: 'info',
      shutdownTimeout: 3000,
      console: true,
    })
  })

  it('is so where it had to be quoted, too', async () => {
    const text = 'global: { server-port: "${PORT}", console: "${CONSOLE}" }\nroutes: {}\n'
    const { global } = await load(text, { env: { PORT: '8080', CONSOLE: 'true' } })
    assert.deepEqual([global.serverPort, global.console], [8080, true])
    const [, found] = await problems(text, { env: { PORT: '8080.5', CONSOLE: 'true' } })
    assert.equal(found, '1:24 error: global: server-port: expected a whole number, got the value of ${PORT}')
    assert.equal(await host('"${VALUE}"', { VALUE: '5' }), '5')
  })

  it('is text where text is wanted, whatever it looks like', async () => {
    for (const value of [
      '12345',
      '1e5',
      'true',
      'null',
      '~',
      '',
      '0x1f',
      '.inf',
      '[a]',
      '{a: b}',
      '- a',
      '*x',
      '# no',
    ]) {
      assert.equal(await host('${VALUE}', { VALUE: value }), value)
      assert.equal(await host('"${VALUE}"', { VALUE: value }), value)
    }
  })

  it('cannot add to the structure', async () => {
    for (const value of [
      'x\n      required: true',
      'x\nroutes: {}',
      '}',
      ']',
      '"',
      "'",
      ': y',
      '&a *a',
      '${OTHER}',
      '$${X}',
    ]) {
      assert.equal(await host('${VALUE}', { VALUE: value, OTHER: 'secret' }), value)
    }
  })

  it('is no key', async () => {
    const [, found] = await problems('"${A}": 1\n', { env: { A: 'routes' } })
    assert.match(found ?? '', /unknown key '\$\{A\}'/)
  })

  it('can choose a target, a type, a marshaller', async () => {
    const text = `plugins:
  araldo.marshalling:
    - { name: plain, id: "\${M}" }
  araldo.endpoints.endpoint:
    - { name: a, id: "\${ID}", marshalling: "\${NAME}" }
routes:
  a: ["\${TO}"]
`
    const config = await load(text, { env: { M: 'marshal-text', ID: 'endpoint-mock', NAME: 'plain', TO: 'a' } })
    assert.equal(config.endpoints[0]?.type.id, 'endpoint-mock')
    assert.equal(config.endpoints[0]?.marshalling, 'plain')
    assert.equal(config.routes[0]?.lanes[0]?.to, 'a')
    assert.deepEqual([...config.secrets], [], 'what is public anyway is no secret')
  })
})

describe('a file', () => {
  it('is read relative to the config, its last line break left out', async () => {
    const folder = temporaryFolder('config')
    writeFileSync(join(folder, 'password'), 'geheim\n')
    assert.equal(await host('${file:password}', {}, folder), 'geheim')
    assert.equal(await host('a-${file:./password}-${file:password}', {}, folder), 'a-geheim-geheim')
    assert.equal(await host(`\${file:${join(folder, 'password')}}`, {}, '/'), 'geheim')
    writeFileSync(join(folder, 'two'), 'a\n\n')
    assert.equal(await host('${file:two}', {}, folder), 'a\n')
  })

  it('that cannot be read is an error at its line, whatever keeps it from being read', async () => {
    const folder = temporaryFolder('config')
    mkdirSync(join(folder, 'folder'))
    writeFileSync(join(folder, 'large'), Buffer.alloc(65 * 1024, 'a'))
    writeFileSync(join(folder, 'binary'), Buffer.from([0xff, 0xfe]))
    for (const [path, reason] of [
      ['none', 'there is no such file'],
      ['folder', 'it is a folder'],
      ['large', 'it is larger than 64 KiB'],
      ['binary', 'it is not UTF-8 text'],
      ['/dev/zero', 'it is no regular file'],
      ['', 'it is a folder'],
    ]) {
      assert.deepEqual(await problems(withParameters(`host: \${file:${path}}`), { directory: folder }), [
        `5:13 error: the file '${path}' cannot be read: ${reason}`,
      ])
    }
  })
})

describe('in an expression or a template', () => {
  const message = new Message({
    source: 'a',
    marshaller: json,
    topic: 't',
    headers: {},
    body: { total: 5, region: 'eu' },
  })

  it('a variable is a part of the text', async () => {
    const config = await load(
      withLane('when: body.total > ${LIMIT} && body.region == "${REGION}"\ntopic: ${PREFIX}.{body.region}'),
      {
        env: { LIMIT: '4', REGION: 'eu', PREFIX: 'p{x}' },
      },
    )
    const lane = firstSteps(config)
    assert.equal(lane.when?.evaluate(message), true)
    assert.equal(lane.topic?.render(message), 'p{x}.eu')
    assert.deepEqual([...config.secrets].toSorted(), ['4', 'eu', 'p{x}'])
    assert.equal(lane.when?.text, 'body.total > ${LIMIT} && body.region == "${REGION}"')
    assert.equal(lane.topic?.text, '${PREFIX}.{body.region}')
  })

  it('a variable adds no expression', async () => {
    for (const value of ['" || true || "', '1 || true', 'x(', 'a // b', '{topic}']) {
      const [found] = await problems(withLane('when: body.region == "${REGION}"'), { env: { REGION: value } })
      assert.match(
        found ?? '',
        /^8:13 error: .*when: the value of \$\{REGION\} cannot stand here: in an expression it may hold/,
      )
    }
    const [within] = await problems(withLane('topic: "a.{body.${T}}"'), { env: { T: 'x + body.y' } })
    assert.match(within ?? '', /^8:14 error: .*topic: the value of \$\{T\} cannot stand here/)
    const inside = await load(withLane('topic: "{{a}}.{body.${T}}"'), { env: { T: 'region' } })
    assert.equal(firstSteps(inside).topic?.render(message), '{a}.eu')
    const config = await load(withLane('topic: ${T}'), { env: { T: '{topic}' } })
    assert.equal(firstSteps(config).topic?.render(message), '{topic}')
  })

  it('errors do not show a value', async () => {
    const env = { FIELD: 'hunter2' }
    const [found] = await problems(withLane('when: ${FIELD} > 1'), { env })
    assert.equal(found, "8:13 error: route 'a' → 'b': when: it cannot be compiled with the value of ${FIELD} in it")
    const config = await load(
      withLane(`when: body.\${FIELD} > 1\ntopic: "{'.\${FIELD}' + topic}"\nkey: body.\${FIELD}`),
      {
        env,
      },
    )
    const { when, topic, key } = firstSteps(config)
    const empty = new Message({ source: 'a', marshaller: json, body: { region: '' } })
    for (const run of [() => when?.evaluate(message), () => key?.evaluate(message), () => topic?.render(empty)]) {
      assert.throws(run, (error: Error) => !`${error.message} ${String(error.cause)}`.includes('hunter2'))
    }
  })
})

describe('secrets', () => {
  it('are the values that went into parameters and steps, but not the defaults of the config', async () => {
    const text = withParameters('host: ${HOST}\nsecret: a${PASSWORD}b\nurl2: x')
      .replace('      url2: x\n', '')
      .replace('routes', 'global: { server-host: "${BIND}" }\nroutes')
    const config = await load(
      text.replace('[e]', '[{ to: e, key: "\'${KEY}\'" }]').replace('host:', 'path: /${PATH:-open}\n      host:'),
      {
        env: { HOST: 'h1', PASSWORD: 'p1', BIND: 'b1', KEY: 'k1' },
      },
    )
    assert.deepEqual([...config.secrets].toSorted(), ['h1', 'k1', 'p1'])
  })

  it('are blotted out of what types say of their parameters', async () => {
    const env = { SECRET: 'hunter2' }
    const [check] = await problems(withParameters('url: echo\nsecret: ${SECRET}'), { env })
    assert.equal(check, "6:15 error: endpoint 'e': secret: cannot be '***'")
    const [thrown] = await problems(withParameters('url: throw\nsecret: ${SECRET}'), { env })
    assert.match(thrown ?? '', /thrown with \*\*\*$/)
  })

  it('never occur in a message, wherever they stand and whatever is wrong there', async () => {
    const places = [
      (value: string) => withParameters(`host: h\nretries: ${value}`),
      (value: string) => withParameters(`host: h\nmode: ${value}`),
      (value: string) => withParameters(`host: h\npath: ${value}`),
      (value: string) => withParameters(`host: h\nbuffer: ${value}`),
      (value: string) => withParameters(`host: h\nchannels: [[${value}]]`),
      (value: string) => withParameters(`host: h\ntls: ${value}`),
      (value: string) => withParameters(`host: h\nlabels: ${value}`),
      (value: string) => withParameters(`url: echo\nsecret: ${value}`),
      (value: string) => withParameters(`host: h\nrequired: ${value}`),
      (value: string) => withParameters(`host: h\nmarshalling: ${value}`),
      (value: string) => withParameters('').replace('name: e', `name: ${value}`),
      (value: string) => withParameters('').replace('endpoint-picky', value),
      (value: string) => withParameters('host: h').replace('[e]', `[${value}]`),
      (value: string) => withParameters('host: h').replace('[e]', value),
      (value: string) => withLane(`when: ${value}`).replace('to: b', `to: ${value}`),
      (value: string) => withLane(`when: ${value}\nmap: ${value}\nkey: ${value}\noptional: ${value}`),
      (value: string) => withLane(`topic: "{x}"\nheaders: ${value}\ndelivery: ${value}`),
      (value: string) =>
        `global: { server-port: ${value}, log-level: ${value}, console: ${value}, shutdown-timeout: ${value} }\n`,
      (value: string) => `plugins: { araldo.endpoints.endpoint: [${value}] }\n`,
      (value: string) => `plugins: ${value}\nroutes: ${value}\nother: ${value}\n`,
      (value: string) => `routes: { a: [{ to: ${value}, when: ${value} }] }\n`,
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...places),
        fc.constantFrom('"${SECRET}"', '"a ${SECRET} b"', '"${UNSET:-${}"', '"${SECRET}${SECRET}"'),
        fc.oneof(
          fc.stringMatching(/^[a-z]{12}$/),
          fc.stringMatching(/^[0-9]{12}$/),
          fc.string({ minLength: 12 }),
          fc.constant('./not/there.js'),
          fc.constant('/not/there.js'),
        ),
        async (place, value, secret) => {
          fc.pre(secret.trim().length >= 10)
          const outcome = await load(place(value), { env: { SECRET: secret } }).catch((error: unknown) => error)
          if (!(outcome instanceof ConfigError)) return assert.ok(!(outcome instanceof Error), String(outcome))
          assert.ok(!outcome.message.includes(secret), outcome.message)
          assert.ok(!JSON.stringify(outcome.diagnostics).includes(secret))
        },
      ),
      { numRuns: 300 },
    )
  })
})
