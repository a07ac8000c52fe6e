import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { STEP_KEYS, type StepConfig } from '../../lib/config/steps.ts'
import { load, problems, withEnds, withLane } from './support.ts'

const directory = mkdtempSync(join(tmpdir(), 'araldo-steps-'))
after(() => rmSync(directory, { recursive: true }))
writeFileSync(
  join(directory, 'enrich.mjs'),
  'export default () => true\nexport const other = () => false\nexport const no = 1',
)
writeFileSync(join(directory, 'common.cjs'), 'module.exports = { enrich() { return true } }')
writeFileSync(join(directory, 'function.cjs'), 'module.exports = () => true')
writeFileSync(join(directory, 'broken.mjs'), 'export default (')
writeFileSync(join(directory, 'throws.mjs'), 'throw new Error("at load")')

async function stepsOf(lines: string): Promise<readonly StepConfig[]> {
  const { routes } = await load(withLane(lines), { directory })
  return routes[0]?.lanes[0]?.steps ?? []
}

/** The only step, without what was compiled. */
async function only(lines: string): Promise<unknown> {
  const [step, ...more] = await stepsOf(lines)
  assert.deepEqual(more, [])
  return Object.fromEntries(Object.entries(step ?? {}).filter(([, value]) => typeof value !== 'function'))
}

describe("a lane's steps", () => {
  it('run in one order where they are keys of the lane', async () => {
    const steps = await stepsOf(`throttle: 10
topic: t
headers: { a: b }
key: key
map: body
split: body
module: ./enrich.mjs
dedupe: true
when: "true"
expire: 30s`)
    assert.deepEqual(
      steps.map(({ name }) => name),
      ['expire', 'when', 'dedupe', 'module', 'split', 'map', 'key', 'headers', 'topic', 'throttle'],
    )
  })

  it('run as they stand in a list, each as often as it is there', async () => {
    const steps = await stepsOf('steps: [{ map: body.a }, { when: body.b }, { split: body }, { when: body.c }]')
    assert.deepEqual(
      steps.map((step) => ('expression' in step ? step.expression.text : step.name)),
      ['body.a', 'body.b', 'split', 'body.c'],
    )
    assert.deepEqual(await stepsOf('steps: []'), [])
  })

  it('have short forms and long ones', async () => {
    const cases: [string, unknown][] = [
      ['expire: 30s', { name: 'expire', after: 30_000, deadLetter: false }],
      ['expire: { after: 5 }', { name: 'expire', after: 5, deadLetter: false }],
      ['dedupe: true', { name: 'dedupe', key: undefined, window: 600_000, size: 10_000 }],
      ['dedupe: { window: 1m, size: 5 }', { name: 'dedupe', key: undefined, window: 60_000, size: 5 }],
      ['module: ./enrich.mjs', { name: 'module', path: './enrich.mjs', timeout: 30_000 }],
      [
        'module: { path: ./enrich.mjs#other, timeout: 1s }',
        { name: 'module', path: './enrich.mjs#other', timeout: 1_000 },
      ],
      ['module: ./common.cjs#enrich', { name: 'module', path: './common.cjs#enrich', timeout: 30_000 }],
      ['module: ./function.cjs', { name: 'module', path: './function.cjs', timeout: 30_000 }],
      ['throttle: 5', { name: 'throttle', rate: 5, per: 1_000, burst: 1, by: undefined, excess: 'wait' }],
      [
        'throttle: { rate: 600, per: 1m, burst: 9, excess: drop }',
        { name: 'throttle', rate: 600, per: 60_000, burst: 9, by: undefined, excess: 'drop' },
      ],
      ['throttle: 1000', { name: 'throttle', rate: 1_000, per: 1_000, burst: 100, by: undefined, excess: 'wait' }],
    ]
    for (const [lines, expected] of cases) assert.deepEqual(await only(lines), expected, lines)
    const [split] = await stepsOf('split: { list: body.items, max: 5 }')
    assert.ok(split?.name === 'split')
    assert.deepEqual([split.list.text, split.max], ['body.items', 5])
    const [dedupe] = await stepsOf('dedupe: { key: body.id }')
    assert.ok(dedupe?.name === 'dedupe')
    assert.equal(dedupe.key?.text, 'body.id')
    const [throttle] = await stepsOf('throttle: { rate: 1, by: headers.user }')
    assert.ok(throttle?.name === 'throttle')
    assert.equal(throttle.by?.text, 'headers.user')
    assert.deepEqual(await stepsOf('dedupe: false'), [])
  })

  const label = "route 'a' → 'b'"
  for (const [lines, expected] of [
    [
      'expire: 5 parsecs',
      `8:15 error: ${label}: expire: after: expected a duration such as 500ms or 30s, or a whole number of milliseconds, got '5 parsecs'`,
    ],
    ['expire: { aftr: 5s }', `8:17 error: ${label}: expire: unknown key 'aftr'; did you mean 'after'?`],
    ['dedupe: yes', `8:15 error: ${label}: dedupe: expected true or a map, got 'yes'`],
    ['dedupe: { ky: body.id }', `8:17 error: ${label}: dedupe: unknown key 'ky'; did you mean 'key'?`],
    [
      'dedupe: { key: headers }',
      `8:22 error: ${label}: dedupe: key: expected an expression that gives text, this gives map<string, string>`,
    ],
    ['dedupe: { size: 0 }', `8:23 error: ${label}: dedupe: size: expected at least 1, got 0`],
    ['split: topic', `8:14 error: ${label}: split: expected an expression that gives a list, this gives string`],
    ['split: headers', /split: expected an expression that gives a list, this gives map<string, string>$/],
    ["split: 'bdy.items'", `8:15 error: ${label}: split: there is no variable 'bdy'; did you mean 'body'?`],
    ['split: { max: 5 }', `8:14 error: ${label}: split: 'list' is missing`],
    ['split: { list: body, max: 0 }', `8:33 error: ${label}: split: max: expected at least 1, got 0`],
    ['throttle: fast', `8:17 error: ${label}: throttle: rate: expected a whole number, got 'fast'`],
    ['throttle: 0', `8:17 error: ${label}: throttle: rate: expected at least 1, got 0`],
    ['throttle: { per: 1s }', `8:17 error: ${label}: throttle: 'rate' is missing`],
    [
      'throttle: { rate: 1, excess: dorp }',
      `8:36 error: ${label}: throttle: excess: expected 'wait' or 'drop', got 'dorp'; did you mean 'drop'?`,
    ],
    [
      'throttle: { rate: 1, by: bdy.id }',
      `8:32 error: ${label}: throttle: by: there is no variable 'bdy'; did you mean 'body'?`,
    ],
    ['module: ./missing.mjs', /^8:15 error: .*: module: '\.\/missing\.mjs': there is no file .*missing\.mjs$/],
    ['module: enrich', `8:15 error: ${label}: module: 'enrich': expected a file's path, such as './enrich.js'`],
    ['module: ./broken.mjs', /^8:15 error: .*: module: '\.\/broken\.mjs': Unexpected /],
    ['module: ./throws.mjs', `8:15 error: ${label}: module: './throws.mjs': at load`],
    [
      'module: ./enrich.mjs#othr',
      `8:15 error: ${label}: module: './enrich.mjs#othr': it exports no function 'othr'; did you mean 'other'?`,
    ],
    ['module: ./enrich.mjs#no', /it exports no function 'no'/],
    [
      'module: ./common.cjs',
      `8:15 error: ${label}: module: './common.cjs': it exports no function as its default; name one of its own: ./common.cjs#enrich`,
    ],
    ['module: 5', `8:15 error: ${label}: module: path: expected text, got 5`],
    ['steps: when', `8:14 error: ${label}: steps: expected a list of steps, got 'when'`],
    ['steps: [when]', /^8:15 error: .*: steps: item 1: expected one step, 'expire', .* got 'when'$/],
    ['steps: [{ when: "true", map: body }]', /steps: item 1: expected one step, .* got 2 of them$/],
    ['steps: [{ wen: "true" }]', `8:17 error: ${label}: steps: item 1: unknown key 'wen'; did you mean 'when'?`],
    [
      'steps: [{ when: topic }]',
      `8:23 error: ${label}: steps: item 1: when: expected an expression that gives true or false, this gives string`,
    ],
    [
      'steps: [{ module: ./missing.mjs }]',
      /^8:25 error: .*: steps: item 1: module: '\.\/missing\.mjs': there is no file/,
    ],
    ['steps: [{ expire: 1s }, { expire: 2s }]', `8:31 error: ${label}: steps: there can be one 'expire'`],
    ['steps: []\nwhen: "true"', `9:7 error: ${label}: steps: 'when' stands beside it: put it into the list`],
    [
      'expire: { after: 1s, dead-letter: true }',
      `8:15 error: ${label}: expire: dead-letter: the lane has no 'dead-letter'`,
    ],
    ['wiretap: maybe', `8:16 error: ${label}: wiretap: expected true or false, got 'maybe'`],
  ] as [string, string | RegExp][]) {
    it(`are checked: ${lines.replaceAll('\n', ' ')}`, async () => {
      const found = await problems(withLane(lines), { directory })
      assert.equal(found.length, 1, found.join('\n'))
      if (typeof expected === 'string') assert.equal(found[0], expected)
      else assert.match(found[0] ?? '', expected)
    })
  }

  it('take values from the environment, and show none', async () => {
    const env = { RATE: '10', PATH_OF_IT: './hunter2.mjs', AFTER: '5s' }
    const { routes } = await load(withLane('throttle: ${RATE}\nexpire: ${AFTER}'), { env })
    const [expire, throttle] = routes[0]?.lanes[0]?.steps ?? []
    assert.ok(expire?.name === 'expire' && throttle?.name === 'throttle')
    assert.deepEqual([expire.after, throttle.rate], [5_000, 10])
    const [found] = await problems(withLane('module: ${PATH_OF_IT}'), { env, directory })
    assert.equal(
      found,
      "8:15 error: route 'a' → 'b': module: the value of ${PATH_OF_IT} names a module that cannot be loaded",
    )
  })
})

describe('the documentation', () => {
  it('has examples of steps that load as they stand', async () => {
    const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
    const section = /^### Steps$([^]*?)^### Delivery$/m.exec(text)?.[1] ?? ''
    const [, code = ''] = /```js\n([^]*?)```/.exec(section) ?? []
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
    writeFileSync(join(directory, 'enrich.js'), code)
    const seen = new Set<string>()
    for (const [, lanes = ''] of section.matchAll(/```yaml\n([^]*?)```/g)) {
      // What stands behind '# or:' is an example, too.
      const [, long] = /^ *# or: (\{.*?\})/m.exec(lanes) ?? []
      const short = lanes.replace(/^ *# or:.*\n/m, '')
      for (const each of long === undefined
        ? [short]
        : [short, short.replace(/(module|throttle): \S+/, `$1: ${long}`)]) {
        const to = /to: (\w+)/.exec(each)?.[1] as string
        const yaml = withLane('').replace('to: b', 'to: a').replace('name: b', `name: ${to}`)
        const config = yaml.replace(/^    - to: a\n.*/ms, each.replace(/^/gm, '    '))
        const { routes } = await load(config, { directory })
        for (const { name } of routes[0]?.lanes[0]?.steps ?? []) seen.add(name)
      }
    }
    assert.deepEqual([...seen].toSorted(), [...STEP_KEYS].toSorted())
  })
})

describe('a wiretap', () => {
  it('is optional, promises little, and never pauses its source', async () => {
    const { routes } = await load(withEnds('durable', 'durable', 'wiretap: true'))
    const [{ optional, wiretap, delivery } = assert.fail()] = routes[0]?.lanes ?? []
    assert.deepEqual(
      [optional, wiretap, delivery.guarantee, delivery.overflow],
      [true, true, 'at-most-once', 'drop-oldest'],
    )
    const found = await problems(withEnds('durable', 'durable', 'wiretap: true\noverflow: block'))
    assert.equal(
      found.at(-1),
      "10:17 error: route 'a' → 'b': overflow: a wiretap never pauses 'a': use 'drop-oldest' or 'drop-newest'",
    )
  })

  it('is none where it says false', async () => {
    const { routes } = await load(withEnds('durable', 'durable', 'wiretap: false'))
    const [{ optional, wiretap, delivery } = assert.fail()] = routes[0]?.lanes ?? []
    assert.deepEqual([optional, wiretap, delivery.overflow], [false, false, 'block'])
  })
})
