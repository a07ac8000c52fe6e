/** Each type of endpoint to each: what arrives, and what is refused, and why. One relay serves every cell. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Redis } from 'ioredis'
import { loadConfig } from '../../lib/config.ts'
import { ConfigError } from '../../lib/config/diagnostics.ts'
import { createRegistries } from '../../lib/plugin.ts'
import type { Received } from '../../lib/testing/index.ts'
import { fieldOf, readStream } from '../faults/support/redis.ts'
import { until } from '../support/wait.ts'
import { type Brokers, needBrokers, startBrokers } from './brokers.ts'
import { ENDS, KiB, seenBy } from './ends.ts'
import * as matrix from './matrix.ts'
import { documented } from './pages.ts'
import { InteropRig, LETTERS, type Placed } from './rig.ts'

let brokers: Brokers
let rig: InteropRig
let redis: Redis
/** By the names of source and target. */
const cells = new Map<string, matrix.Cell>()
/** By the name of the target. */
const refusals = new Map<string, matrix.Refused[]>()

interface Letter {
  readonly target: string
  readonly payload: Buffer
  readonly code: string
  readonly why: string
}

async function lettersFrom(source: Placed): Promise<Letter[]> {
  const letters: Letter[] = []
  await readStream(redis, LETTERS, (entry) => {
    const text = (name: string): string => String(fieldOf(entry, name))
    if (text('araldo-route') !== source.endpoint) return
    const payload = fieldOf(entry, 'payload') ?? Buffer.alloc(0)
    letters.push({ target: text('araldo-target'), payload, code: text('araldo-error-code'), why: text('araldo-error') })
  })
  return letters
}

/** What a target had before a source began. */
interface Had {
  readonly arrived: number
  readonly oversized: number
}

/** What has arrived at a target from a source, as soon as it is as much as the lane has delivered. */
async function arrivals(source: Placed, target: Placed, had: Had): Promise<readonly Received[]> {
  const delivered = rig.lane(source, target).ledger.delivered - (oversized(target) - had.oversized)
  let there: readonly Received[] = []
  await until(async () => (there = (await target.peer.received()).slice(had.arrived)).length >= delivered, {
    timeout: 10_000,
    message: `${delivered} messages at ${target.end.name}`,
  })
  return there
}

/** Bytes: several messages that are larger do not wait for one target. */
const BULKY = 128 * KiB

/** Messages that a WebSocket endpoint left out for clients of `araldo.v1`, whose frames are larger than plain ones. */
function oversized({ endpoint }: Placed): number {
  return rig.server.araldo.endpoints.get(endpoint)?.counters['oversized'] ?? 0
}

/** Everything that a source has sent has come to its end, and what was delivered is there. */
async function allArrived(source: Placed, count: number, had: ReadonlyMap<Placed, Had>): Promise<void> {
  await rig.settled(source, count)
  for (const target of rig.targets) await arrivals(source, target, had.get(target) as Had)
}

function messagesOf(error: unknown): string[] {
  if (!(error instanceof ConfigError)) throw error
  return error.diagnostics.map(({ message }) => message)
}

const isThere = (all: readonly { payload: Buffer }[], payload: Buffer): boolean =>
  all.some((one) => one.payload.equals(payload))

describe('from each type of endpoint to each', { skip: needBrokers }, () => {
  before(async () => {
    brokers = await startBrokers()
    rig = await InteropRig.start(brokers)
    redis = new Redis(brokers.pubSub.url)
  })
  after(async () => {
    redis?.disconnect()
    await rig?.close()
  })

  for (const end of ENDS.filter(({ source }) => source !== null)) {
    test(`${end.name} to all`, { timeout: 60_000 }, async () => {
      const source = rig.sources.find((placed) => placed.end === end) as Placed
      const side = end.source as NonNullable<typeof end.source>
      const sizes = matrix.sizesFrom(
        end,
        rig.targets.map((placed) => placed.end),
      )
      const had = new Map<Placed, Had>()
      for (const target of rig.targets) {
        had.set(target, { arrived: (await target.peer.received()).length, oversized: oversized(target) })
      }

      const extra = { key: matrix.KEY, headers: matrix.ASCII }
      const unicode = { ...extra, headers: { ...matrix.ASCII, ...matrix.UNICODE } }
      const wordy = Buffer.from('with a header of many letters')
      const sent = [matrix.TEXT, ...(side.binary ? [matrix.BINARY] : []), ...sizes.map(matrix.filled)]
      for (const [index, payload] of sent.entries()) {
        await source.peer.emit(payload, extra)
        // A WebSocket client for which more than 1 MiB waits is sent away.
        if (payload.length > BULKY) await allArrived(source, index + 1, had)
      }
      if (side.headers === 'unicode') {
        await source.peer.emit(wordy, unicode)
        sent.push(wordy)
      }
      await rig.settled(source, sent.length)
      const letters = await lettersFrom(source)

      for (const target of rig.targets) {
        const { ledger, guarantee } = rig.lane(source, target)
        assert.equal(ledger.received, sent.length, target.end.name)
        assert.equal(ledger.received, ledger.delivered + ledger.deadLettered, target.end.name)
        const before = had.get(target) as Had
        const there = await arrivals(source, target, before)
        const refused = letters.filter((letter) => letter.target === target.endpoint)
        const isLeftOut = oversized(target) > before.oversized
        if (isLeftOut) refused.push(...leftOut(target, [...there, ...refused], sent))
        assert.equal(there.length + refused.length, sent.length, `${end.name} to ${target.end.name}`)
        for (const payload of sent) {
          const place = `${payload.length} bytes from ${end.name} to ${target.end.name}`
          assert.notEqual(isThere(there, payload), isThere(refused, payload), `${place}: arrived or refused`)
        }
        const cell = cellOf(target, there)
        assert.deepEqual(cell, matrix.expected({ source: side, target: target.end.target }), `to ${target.end.name}`)
        cells.set(`${end.name}\n${target.end.name}`, { ...cell, guarantee })
        noteRefusals(target, refused)
      }
    })
  }

  function leftOut(target: Placed, known: readonly { payload: Buffer }[], sent: readonly Buffer[]): Letter[] {
    const why = 'left out, and counted as `oversized`: the frame is larger than `limit`'
    const missing = sent.filter((payload) => !isThere(known, payload))
    return missing.map((payload) => ({ target: target.endpoint, payload, code: '', why }))
  }

  function cellOf({ end }: Placed, there: readonly Received[]): Omit<matrix.Cell, 'guarantee'> {
    const seen = there.map((received) => seenBy(end, received))
    const has = (headers: object): boolean =>
      seen.some((one) => Object.entries(headers).every(([name, value]) => one.headers[name] === value))
    const ids = new Set(seen.map(({ id }) => id))
    return {
      text: isThere(there, matrix.TEXT),
      binary: isThere(there, matrix.BINARY),
      headers: has(matrix.UNICODE) ? 'unicode' : has(matrix.ASCII) ? 'ascii' : false,
      key: seen.length > 0 && seen.every(({ key }) => key === matrix.KEY),
      id: !ids.has(undefined) && ids.size === there.length,
      largest: Math.max(...there.map(({ payload }) => payload.length)),
    }
  }

  function noteRefusals({ end }: Placed, refused: readonly Letter[]): void {
    const known = refusals.get(end.name) ?? []
    refusals.set(end.name, known)
    for (const { payload, code, why } of refused) {
      const what = whatOf(payload)
      const limit = end.target?.tooMany ?? Infinity
      if (what === 'large') assert.ok(payload.length >= limit, `${end.name} refused ${payload.length} bytes`)
      const same = known.find((one) => one.what === what && one.code === code)
      if (same === undefined) known.push({ what, code, why: generic(why), bytes: payload.length })
      else same.bytes = Math.min(same.bytes, payload.length)
    }
  }

  function whatOf(payload: Buffer): string {
    if (payload.equals(matrix.BINARY)) return 'bytes that are no text'
    return String(payload).startsWith('with a header') ? 'headers that are not ASCII' : 'large'
  }

  /** Without what differs from run to run, and from size to size. */
  function generic(why: string): string {
    return why.replace(/(endpoint|message) '[^']+'/g, '$1 …').replace(/, this one has \d+$/, '')
  }

  test('is refused when the config is loaded where more is asked for than the two can do', async () => {
    for (const source of rig.sources) {
      const loading = loadConfig(rig.config({ delivery: 'at-least-once' }, [source]), createRegistries())
      const messages = await loading.then(() => [], messagesOf)
      for (const target of rig.targets) {
        const lane = `route '${source.endpoint}' → '${target.endpoint}': delivery: `
        const said = messages.filter((message) => message.startsWith(lane))
        const isWeak = cells.get(`${source.end.name}\n${target.end.name}`)?.guarantee === 'at-most-once'
        assert.equal(said.length, isWeak ? 1 : 0, `${source.end.name} to ${target.end.name}: ${said.join()}`)
        if (isWeak) assert.match(String(said[0]), /cannot be acknowledged|does not confirm/)
      }
    }
  })

  test('is in the documents as it was found', () => {
    const targets = ENDS.filter(({ target }) => target !== null)
    const cellsFrom = (name: string): string[] =>
      targets.map((target) => {
        const cell = cells.get(`${name}\n${target.name}`)
        return cell === undefined ? '' : matrix.shown(cell)
      })
    const rows = ENDS.filter(({ source }) => source !== null).map(({ name }) => [name].concat(cellsFrom(name)))
    const refused = [...refusals].flatMap(([name, all]) =>
      all.map(({ what, code, why, bytes }) => [
        name,
        what === 'large' ? `${matrix.bytes(bytes)} and more` : what,
        code && `\`${code}\``,
        why,
      ]),
    )
    const tables = [
      matrix.table(['from \\ to', ...targets.map(({ name }) => name)], rows),
      matrix.table(['to', 'refused', 'code', 'reason'], refused),
    ]
    documented('matrix', tables.join('\n\n'))
  })
})
