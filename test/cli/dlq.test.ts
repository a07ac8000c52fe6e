import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { parseArguments } from '../../lib/cli/arguments.ts'
import { UsageError } from '../../lib/cli/usage.ts'
import { araldo, configFolder, startAraldo } from '../support/araldo.ts'
import type { Owner, RunResult } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'
import { until } from '../support/wait.ts'

const skip = need('redis-server')

/** Letters to `out` are refused, as long as the key `out` is no stream; what has no `total` fails in the step. */
const configFor = (port: number, map = 'body.total * 2.0'): string => `
global:
  server-port: 0
plugins:
  araldo.endpoints.endpoint:
    - { name: in, id: endpoint-redis-stream, host: 127.0.0.1, port: ${port}, stream: in }
    - { name: out, id: endpoint-redis-stream, host: 127.0.0.1, port: ${port}, stream: out }
    - { name: archive, id: endpoint-redis-stream, host: 127.0.0.1, port: ${port}, stream: archive }
    - { name: parked, id: endpoint-redis-stream, host: 127.0.0.1, port: ${port}, stream: parked }
    - { name: browsers, id: endpoint-websocket, path: /ws }
routes:
  in:
    - { to: out, map: '{"double": ${map}}', dead-letter: parked }
  browsers: [archive]
`

interface Parked {
  readonly redis: Redis
  readonly port: number
  readonly folder: string
  /** Runs \`araldo dlq …\` there. */
  dlq(...args: string[]): Promise<RunResult>
  entries(stream: string): Promise<Record<string, string>[]>
}

/** A stream of three letters: two that the target refused, one that failed in the step. The relay is gone. */
async function park(t: Owner): Promise<Parked> {
  const server = await startRedis({ t })
  const redis = new Redis(server.port, { lazyConnect: false })
  t.after(() => redis.disconnect())
  await redis.set('out', 'no stream')
  const relay = await startAraldo(configFor(server.port), { t })
  await redis.xadd('in', '*', 'payload', '{"total":1}', 'id', 'first', 'key', 'k', 'trace', 'abc')
  await redis.xadd('in', '*', 'payload', '{"other":1}', 'id', 'second')
  await redis.xadd('in', '*', 'payload', '{"total":3}', 'id', 'third')
  await until(async () => (await redis.xlen('parked')) === 3)
  await relay.process.stop()
  const folder = await configFolder(configFor(server.port))
  return {
    redis,
    port: server.port,
    folder,
    dlq: (...args) => araldo(['dlq', ...args], { cwd: folder }),
    entries: async (stream) =>
      (await redis.xrange(stream, '-', '+')).map(([entry, fields]) => {
        const record: Record<string, string> = { entry }
        for (let at = 0; at < fields.length; at += 2) record[fields[at] as string] = fields[at + 1] as string
        return record
      }),
  }
}

describe('dead letters in a Redis stream', { skip }, () => {
  test('are listed with why, and shown with headers and payload', async (t) => {
    const { dlq, entries, folder } = await park(t)
    const letters = await entries('parked')
    const { code, stdout } = await dlq('ls')
    assert.equal(code, 0)
    assert.match(stdout, /^ID +TIME +ROUTE +TARGET +ATTEMPTS +BYTES +CODE +REASON$/m)
    assert.match(stdout, /3 shown; the stream has 3 entries/)
    for (const { entry = '' } of letters) assert.ok(stdout.includes(entry))
    const refused = letters.filter(({ id }) => id !== 'second')
    for (const { entry } of refused)
      assert.match(
        stdout,
        new RegExp(`^${entry} .* in +out +1 +\\d+ +ARALDO_ERR_TOPIC_INVALID .*the key 'out' hol…$`, 'm'),
      )

    const failed = letters.find(({ id }) => id === 'second')
    const shown = await dlq('show', failed?.['entry'] ?? '')
    assert.match(shown.stdout, /araldo-error-code +ARALDO_ERR_EXPRESSION_FAILED/)
    assert.match(shown.stdout, /araldo-attempts +0/)
    assert.match(shown.stdout, /\{\n {2}"other": 1\n\}/)

    const json = await dlq('ls', '--json', '--code=ARALDO_ERR_EXPRESSION_FAILED')
    const rows = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>)
    assert.deepEqual(
      rows.map(({ id, payload = '' }) => [id, Buffer.from(payload, 'base64').toString()]),
      [['second', '{"other":1}']],
    )
    assert.match((await dlq('ls', '--limit=1')).stdout, /1 shown; the stream has 3 entries/)
    assert.match((await araldo(['dlq', 'ls', 'parked'], { cwd: folder })).stdout, /3 shown/)
  })

  test('stay where they are, with the reason, while their target still refuses them', async (t) => {
    const { dlq, entries } = await park(t)
    const { code, stdout } = await dlq('replay', '--all')
    assert.equal(code, 1)
    assert.match(stdout, /not delivered: endpoint 'out' cannot send to this topic: the key 'out' holds no stream/)
    assert.match(stdout, /0 delivered, 3 not/)
    assert.equal((await entries('parked')).length, 3)
  })

  test('are delivered to the target that they were for, with their ids, keys and headers, and leave the stream', async (t) => {
    const { dlq, entries, redis } = await park(t)
    await redis.del('out')
    const dry = await dlq('replay', '--all', '--dry-run')
    assert.match(dry.stdout, /would go to 'out'\n/)
    assert.match(dry.stdout, /would go to 'out' through the steps of route 'in'\n/)
    assert.equal((await entries('parked')).length, 3)
    assert.equal(await redis.exists('out'), 0)

    const { code, stdout } = await dlq('replay', '--all')
    assert.equal(code, 1)
    assert.match(stdout, /2 delivered, 1 not/)
    const [left, ...more] = await entries('parked')
    assert.deepEqual([left?.['id'], more.length], ['second', 0])
    const delivered = await entries('out')
    assert.deepEqual(
      delivered.map(({ entry: _entry, time: _time, 'araldo-hops': _hops, ...fields }) => fields),
      [
        { payload: '{"double":2}', id: 'first', key: 'k', trace: 'abc' },
        { payload: '{"double":6}', id: 'third' },
      ],
    )
  })

  test('that failed in a step go through the steps as the config has them now', async (t) => {
    const { redis, port, entries } = await park(t)
    await redis.del('out')
    const folder = await configFolder(configFor(port, 'has(body.total) ? body.total * 2.0 : 0.0'))
    const { code, stdout } = await araldo(['dlq', 'replay', '--code=ARALDO_ERR_EXPRESSION_FAILED'], { cwd: folder })
    assert.equal(code, 0)
    assert.match(stdout, /1 delivered, 0 not/)
    assert.deepEqual(
      (await entries('out')).map(({ id, payload }) => [id, payload]),
      [['second', '{"double":0}']],
    )
    assert.equal((await entries('parked')).length, 2)
  })

  test('that are parts of a message go on with the step that failed for them, if it is still there', async (t) => {
    const { redis, port, entries } = await park(t)
    await redis.del('out', 'parked')
    const config = (steps: string): string => configFor(port).replace(/map: '.*?',/, `steps: [${steps}],`)
    const relay = await startAraldo(config('{ split: body.items }, { map: body.total * 2.0 }'), { t })
    await redis.xadd('in', '*', 'payload', '{"items":[{"total":1},{"other":2}]}', 'id', 'm')
    await until(async () => (await redis.xlen('parked')) === 1)
    await relay.process.stop()
    assert.equal((await entries('parked'))[0]?.['araldo-step'], '1/map')
    const replay = async (steps: string): Promise<RunResult> =>
      araldo(['dlq', 'replay', '--all'], { cwd: await configFolder(config(steps)) })
    const other = await replay('{ split: body.items }, { when: "true" }, { map: body.total * 2.0 }')
    assert.match(other.stdout, /the lane to 'out' has other steps now than when '1\/map' failed: name a target with/)
    const { code } = await replay('{ split: body.items }, { map: body.other * 3.0 }')
    assert.equal(code, 0)
    assert.deepEqual(
      (await entries('out')).map(({ id, payload }) => [id, payload]),
      [
        ['m/0', '2'],
        ['m/1', '6'],
      ],
    )
  })

  test('go to another endpoint as they are, but not to one that only the running relay reaches', async (t) => {
    const { dlq, entries } = await park(t)
    const [first] = await entries('parked')
    const entry = first?.['entry'] ?? ''
    const browsers = await dlq('replay', entry, '--to=browsers')
    assert.equal(browsers.code, 1)
    assert.match(browsers.stdout, /'browsers' is reached in the running relay alone/)
    assert.match((await dlq('replay', entry, '--to=nowhere')).stdout, /no endpoint is named 'nowhere'/)
    assert.match((await dlq('replay', entry, '--to=parked')).stdout, /'parked' is where it is already/)
    const { code } = await dlq('replay', entry, '--to=archive')
    assert.equal(code, 0)
    assert.equal((await entries('archive'))[0]?.['id'], first?.['id'])
    assert.equal((await entries('parked')).length, 2)
  })

  test('are told from what else is in their stream, which is neither shown nor replayed', async (t) => {
    const { dlq, entries, redis } = await park(t)
    const entry = (await redis.xadd('parked', '*', 'payload', '1')) as string
    assert.match((await dlq('ls')).stdout, /3 shown; the stream has 4 entries/)
    const { code, stderr } = await dlq('replay', entry, '--to=archive')
    assert.equal(code, 1)
    assert.match(stderr, /is no dead letter, but a message of the stream's own/)
    assert.equal((await dlq('replay', '--all', '--to=archive')).code, 0)
    assert.deepEqual(
      (await entries('parked')).map((each) => each['entry']),
      [entry],
    )
  })

  test('that cannot be read are an error of one line that says why', async (t) => {
    const { dlq, folder } = await park(t)
    for (const [args, message] of [
      [['ls', 'nowhere'], /no endpoint-redis-stream is named 'nowhere'; there are in, out, archive, parked/],
      [['show', '1-1'], /there is no dead letter '1-1' in 'parked'/],
    ] as const) {
      const { code, stderr } = await dlq(...args)
      assert.deepEqual([code, stderr.trim().split('\n').length], [1, 1])
      assert.match(stderr, message)
    }
    assert.ok(folder)
  })
})

test('the command line of dlq is checked before anything is read', () => {
  for (const [args, message] of [
    [[], /ls, show or replay: it is missing/],
    [['rm'], /ls, show or replay: got 'rm'/],
    [['ls', '1-1'], /takes no ids/],
    [['show'], /takes the id of one entry/],
    [['show', 'parked', '1-1', '2-2'], /takes the id of one entry/],
    [['replay'], /takes ids, a filter .* or --all/],
    [['replay', '1-1', '--all'], /not both/],
    [['replay', 'parked', 'x'], /'x' is no entry's id/],
    [['ls', '--to=x'], /'--to' is no option of araldo dlq ls/],
    [['ls', '--limit=0'], /at least 1; got '0'/],
  ] as const) {
    assert.throws(
      () => parseArguments(['dlq', ...args]),
      (error) => {
        assert.ok(error instanceof UsageError)
        assert.match(error.message, message, args.join(' '))
        return true
      },
    )
  }
  assert.throws(() => parseArguments(['check', '--all']), { message: "'--all' is an option of araldo dlq" })
  const asked = parseArguments(['dlq', 'replay', 'parked', '1-1', '2-2', '--to=x', '--dry-run', '-c', 'y.yaml'])
  assert.deepEqual(asked, {
    kind: 'dlq',
    config: 'y.yaml',
    action: 'replay',
    endpoint: 'parked',
    ids: ['1-1', '2-2'],
    filter: { route: undefined, target: undefined, code: undefined },
    limit: undefined,
    json: false,
    to: 'x',
    dryRun: true,
  })
})
