import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { dump, load as parse } from 'js-yaml'
import { ConfigError, loadConfig, type Config } from '../../lib/config.ts'
import { configSchema } from '../../lib/schema.ts'
import { temporaryFolder } from '../support/process.ts'
import { registries } from './support.ts'

const VALID = `global:
  server-port: 54321
  log-level: info
  shutdown-timeout: 20s
plugins:
  araldo.marshalling:
    - { name: plain, id: marshal-text }
  araldo.endpoints.endpoint:
    - name: a
      id: endpoint-picky
      url: \${URL:-redis://127.0.0.1}
      buffer: 1MiB
      channels: [x, y]
      tls: { ca: x }
      labels: { x: y }
    - &mock
      name: b
      id: endpoint-mock
      marshalling: plain
      channel: "1"
    - <<: *mock
      name: c
routes:
  a:
    - b
    - to: c
      when: body.total > 100 && headers.user == 'ada'
      map: '{"id": body.id}'
      topic: orders.{body.region}
      headers: { x: "{topic}" }
  b: [c]
`
/** js-yaml's own reader, which some tests compare with, takes a merge key for a key. */
function withoutMerge(text: string): string {
  return text
    .replace('- &mock\n      name: b', '- name: b')
    .replace('- <<: *mock\n      name: c', '- name: c\n      id: endpoint-mock')
}

/** Without packages to discover. */
const directory = temporaryFolder('fuzz')
const RUNS = 200
/** Milliseconds. What takes longer has run away; a config takes a few, on a machine that has nothing else to do. */
const LIMIT = 20_000

/** A config loads, or is refused with errors that are each in their place; there is nothing third. */
async function loadsOrIsRefused(input: string | object): Promise<Config | undefined> {
  const start = performance.now()
  try {
    return await loadConfig(input, registries(), { env: { X: 'value' }, directory })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String((error as Error).stack))
    assert.ok(error.diagnostics.some(({ severity }) => severity === 'error'))
    for (const { message, line, column } of error.diagnostics) {
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(message, /[\u0000-\u001f\u007f\u2028\u2029]/, 'one line, and nothing that a terminal obeys')
      assert.ok(message.length < 3_000, message)
      if (line === undefined) continue
      assert.ok(typeof input === 'string')
      const lines = input.split(/\r\n|\n|\r/)
      assert.ok(line >= 1 && line <= lines.length, `${line} of ${lines.length}: ${message}`)
      assert.ok(column !== undefined && column >= 1 && column <= (lines[line - 1] as string).length + 1)
    }
    return undefined
  } finally {
    assert.ok(performance.now() - start < LIMIT)
  }
}

const nasty = fc.constantFrom(
  ...[
    '',
    ' ',
    '\n',
    '\t',
    ':',
    ': ',
    '- ',
    '? ',
    '&a ',
    '*a',
    '<<: *mock',
    '!!str ',
    '!x ',
    '|',
    '>',
    '%',
    '@',
    '`',
    '"',
    "'",
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    '{{',
    '}}',
    '${',
    '${X}',
    '${file:/etc/passwd}',
    '${file:.}',
    '$${',
    '#',
    '---\n',
    '...\n',
    '\r',
    '\0',
  ],
  ...[
    '\u2028',
    '\uFEFF',
    '\uD800',
    '__proto__',
    'constructor',
    'null',
    '~',
    '.nan',
    '.inf',
    '1e999',
    '0x',
    '-',
    '9'.repeat(400),
  ],
  ...[
    'a'.repeat(5000),
    '[['.repeat(60),
    '- '.repeat(60),
    'toString',
    'hasOwnProperty',
    '\x1b[31m',
    '1GiB',
    '5m',
    'body',
    '{body.x}',
  ],
)

const mutatedText = fc
  .array(
    fc.record({
      at: fc.nat({ max: VALID.length }),
      remove: fc.oneof(fc.constant(0), fc.nat({ max: 12 }), fc.nat({ max: 200 })),
      insert: fc.oneof(
        nasty,
        fc.string({ unit: 'binary', maxLength: 8 }),
        fc.nat({ max: VALID.length }).map((at) => VALID.slice(at, at + 40)),
      ),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((edits) =>
    edits.reduce((text, { at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove), VALID),
  )

const anything = fc.anything({
  key: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'name', 'id', 'to', 'toString')),
  withBigInt: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withObjectString: true,
  withSparseArray: true,
  withTypedArray: true,
})

/** The valid config as an object, with something else in one or some of its places. */
const mutatedObject = fc
  .array(fc.tuple(fc.array(fc.nat({ max: 5 }), { maxLength: 6 }), anything, fc.boolean()), {
    minLength: 1,
    maxLength: 3,
  })
  .map((edits) => {
    const config = structuredClone(parse(withoutMerge(VALID))) as Record<string, unknown>
    for (const [path, value, asKey] of edits) {
      let target: Record<string, unknown> = config
      for (const step of path.slice(0, -1)) {
        const keys = Object.keys(target)
        const next = target[keys[step % Math.max(1, keys.length)] as string]
        if (typeof next === 'object' && next !== null) target = next as Record<string, unknown>
      }
      const keys = Object.keys(target)
      const key = asKey ? String(path.at(-1)) : keys[(path.at(-1) ?? 0) % Math.max(1, keys.length)]
      if (key !== undefined && !ArrayBuffer.isView(target))
        Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
    }
    return config
  })

describe('whatever is given for a config loads, or is refused with errors in their places', () => {
  it('the config that is mutated below loads', async () => {
    assert.ok(await loadsOrIsRefused(VALID))
  })

  it('mutations of a valid config', async () => {
    await fc.assert(
      fc.asyncProperty(mutatedText, async (text) => void (await loadsOrIsRefused(`${text}\n`))),
      { numRuns: RUNS },
    )
  })

  it('arbitrary text', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(nasty, { maxLength: 40 }).map((parts) => parts.join('')),
    )
    await fc.assert(
      fc.asyncProperty(text, async (garbage) => void (await loadsOrIsRefused(`${garbage}\n`))),
      { numRuns: RUNS },
    )
  })

  it('YAML of arbitrary values', async () => {
    const text = fc.object({ maxDepth: 4 }).map((value) => dump(value, { skipInvalid: true }))
    await fc.assert(
      fc.asyncProperty(text, async (yaml) => void (await loadsOrIsRefused(`${yaml}\n`))),
      { numRuns: RUNS },
    )
  })

  it('mutations of a valid config as an object', async () => {
    await fc.assert(
      fc.asyncProperty(mutatedObject, async (object) => void (await loadsOrIsRefused(object))),
      { numRuns: RUNS },
    )
  })

  it('arbitrary objects', async () => {
    const objects = anything.filter((value): value is object => typeof value === 'object' && value !== null)
    await fc.assert(
      fc.asyncProperty(objects, async (object) => void (await loadsOrIsRefused(object))),
      { numRuns: RUNS },
    )
  })

  it('paths that are none', async () => {
    const path = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !/[\r\n]/.test(text))
    await fc.assert(
      fc.asyncProperty(path, async (text) => void (await loadsOrIsRefused(text))),
      { numRuns: 100 },
    )
  })
})

it('what loads is valid by the JSON Schema that editors are given, too', async () => {
  const ajv = new Ajv({ allowUnionTypes: true, strictTypes: false, strictRequired: false })
  const validate = ajv.compile(configSchema(registries()))
  await fc.assert(
    fc.asyncProperty(mutatedText, async (text) => {
      const source = `${withoutMerge(text)}\n`
      fc.pre(!source.includes('<<'))
      if ((await loadsOrIsRefused(source)) === undefined) return
      assert.ok(validate(parse(source)), JSON.stringify(validate.errors))
    }),
    { numRuns: RUNS },
  )
})

it('text and object load alike', async () => {
  const shown = (config: Config | undefined): string =>
    JSON.stringify(config, (key, value: unknown) =>
      key === 'type' ? (value as { id: string }).id : key === 'line' || key === 'column' ? undefined : value,
    )
  await fc.assert(
    fc.asyncProperty(mutatedText, async (text) => {
      const source = `${withoutMerge(text)}\n`
      const fromText = await loadsOrIsRefused(source)
      if (fromText === undefined || source.includes('<<')) return
      const object = parse(source) as object
      const fromObject = await loadsOrIsRefused(object)
      assert.equal(shown(fromObject), shown(fromText))
    }),
    { numRuns: RUNS },
  )
})
