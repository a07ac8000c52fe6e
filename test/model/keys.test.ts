/** Order is kept for each key: what is kept for it must end with its last message, however many keys there are. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Endpoint } from '../../lib/endpoint.ts'
import { errors } from '../../lib/errors.ts'
import { Lane } from '../../lib/delivery/lane.ts'
import { Message } from '../../lib/message.ts'
import type { Settle } from '../../lib/types.ts'
import { contextOf, counting, deliveryOf } from '../support/core.ts'

const KEYS = process.env.ARALDO_FAULTS === 'long' ? 1_000_000 : 200_000
/** Messages that are fed before answers have their turn. */
const BATCH = 100
/** Bytes that the heap may grow by: less than anything that is kept for each key would take. */
const MAX_GROWTH = KEYS * 20

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Takes what it is sent, or refuses some of it for good, a moment later, and keeps nothing. */
class Forgetful extends Endpoint {
  taken = 0
  refuses = false

  protected override connect(): void {}
  protected override disconnect(): void {}

  override send({ key }: Message, settle?: Settle): void {
    this.taken++
    const refused = this.refuses && key?.endsWith('7') === true ? new errors.TOO_LARGE(this.name, 1, 2) : null
    queueMicrotask(() => settle?.(refused))
  }
}

function heap(): number {
  for (let count = 0; count < 4; count++) collectGarbage()
  return process.memoryUsage().heapUsed
}

describe('a lane that has had a message of each of many keys', () => {
  it('keeps nothing of them, nor do its dead letters', async () => {
    const [source, target, deadLetters] = ['in', 'out', 'dead'].map((name) => {
      return new Forgetful(contextOf(name, { confirm: true }))
    }) as [Forgetful, Forgetful, Forgetful]
    for (const endpoint of [target, deadLetters]) endpoint.start()
    target.refuses = true
    const lane = new Lane({
      source,
      target,
      steps: [],
      optional: false,
      delivery: deliveryOf({ overflow: 'block', guarantee: 'at-least-once' }),
      deadLetters,
      onDrop: () => assert.fail('dropped'),
    })
    const marshaller = counting()
    const payload = Buffer.from('1')
    let number = 0
    const feed = async (count: number): Promise<void> => {
      for (const end = number + count; number < end; number++) {
        lane.accept(new Message({ source: 'in', marshaller, payload, key: `key ${number}` }), undefined)
        if (number % BATCH === 0) await turn()
      }
      await lane.whenEmpty()
    }
    await feed(KEYS / 10)
    const before = heap()
    await feed(KEYS)
    const growth = heap() - before
    assert.deepEqual([lane.messages, lane.bytes, lane.ledger.waiting], [0, 0, 0])
    assert.equal(target.taken, number)
    assert.equal(lane.ledger.deadLettered, deadLetters.taken)
    assert.ok(deadLetters.taken > KEYS / 20)
    assert.ok(growth < MAX_GROWTH, `the heap has grown by ${growth} bytes`)
  })
})
