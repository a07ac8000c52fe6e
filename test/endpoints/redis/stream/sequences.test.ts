import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { errors } from '../../../../lib/errors.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient } from '../relay.ts'
import type { Incoming, Started } from '../../../support/alone.ts'
import { pendingOf, startStream } from './support.ts'

type Step = 'write' | 'settle' | 'reject' | 'cut' | 'restart' | 'hold' | 'release'

/** What the lanes have been given in one life of the endpoint, and what they have said of it. */
class Life {
  readonly stream: Started
  /** By the entry's text. */
  readonly open = new Map<string, Incoming>()
  readonly done = new Set<string>()
  readonly faults: string[] = []
  isHeld = false

  private constructor(stream: Started) {
    this.stream = stream
  }

  static async start(t: TestContext, redis: RedisServer, name: string): Promise<Life> {
    const early: Incoming[] = []
    let take = (each: Incoming): void => void early.push(each)
    const options = { url: redis.url, stream: name, batch: 3, 'max-pending': { messages: 8 } }
    const life = new Life(await startStream(t, options, { onIncoming: (each) => take(each) }))
    take = (each) => life.#take(each)
    for (const each of early) life.#take(each)
    return life
  }

  #take(each: Incoming): void {
    const { text } = each
    if (this.open.has(text)) this.faults.push(`${text} came in while it was in hand`)
    if (this.done.has(text)) this.faults.push(`${text} came in when it was done`)
    this.open.set(text, each)
  }

  /** Says of the oldest that is open, or of all, what became of it. */
  settle(error: Error | null, { all = false } = {}): void {
    for (const [text, { settle }] of [...this.open].slice(0, all ? undefined : 1)) {
      this.open.delete(text)
      if (error === null) this.done.add(text)
      settle(error)
    }
  }
}

async function cut(redis: RedisServer): Promise<void> {
  for (const [, id] of (await redis.cli('CLIENT', 'LIST')).matchAll(/^id=(\d+) .* name=araldo-\w+ /gm)) {
    await redis.cli('CLIENT', 'KILL', 'ID', id as string).catch(() => {})
  }
}

describe('endpoint-redis-stream, whatever happens', { skip: need('redis-server', 'redis-cli') }, () => {
  test('every entry is done in the end, none is in hand twice at once, none comes again when it is done', async (t) => {
    const redis = await startRedis({ t })
    const client = await connectClient(t, redis)
    let run = 0
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.constant<Step>('write') },
      { weight: 3, arbitrary: fc.constant<Step>('settle') },
      { weight: 1, arbitrary: fc.constantFrom<Step>('reject', 'cut', 'restart', 'hold', 'release') },
    )
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const name = `run-${run++}`
      let life = await Life.start(t, redis, name)
      const done = new Set<string>()
      let written = 0
      const actions: Readonly<Record<Step, () => unknown>> = {
        write: async () => {
          for (let more = 0; more < 3; more++) await client.xadd(name, '*', 'payload', String(written++))
        },
        settle: () => life.settle(null),
        reject: () => life.settle(new errors.SEND_FAILED('test', 'for now')),
        cut: () => cut(redis),
        restart: async () => {
          await life.stream.close()
          assert.deepEqual(life.faults, [])
          for (const text of life.done) done.add(text)
          life = await Life.start(t, redis, name)
        },
        hold: () => {
          if (!life.isHeld) life.stream.endpoint.hold()
          life.isHeld = true
        },
        release: () => {
          if (life.isHeld) life.stream.endpoint.release()
          life.isHeld = false
        },
      }
      for (const each of steps) await actions[each]()
      actions.release()
      await until(
        async () => {
          life.settle(null, { all: true })
          return new Set([...done, ...life.done]).size === written && (await pendingOf(redis, name)) === 0
        },
        { timeout: 15_000, message: `${written} entries to be done` },
      )
      await life.stream.close()
      assert.deepEqual(life.faults, [])
    })
    await fc.assert(property, { numRuns: 8, endOnFailure: true })
  })
})
