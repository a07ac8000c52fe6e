import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Journal } from '../../lib/journal/journal.ts'
import { Lane } from '../../lib/delivery/lane.ts'
import { contextOf, counting, deliveryOf, TestEndpoint } from '../support/core.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'

describe('a lane with a durable buffer that blocks', () => {
  it('pauses its source while its disk is opened, and not before: a reload may yet take the lane back', async (t) => {
    const marshaller = counting()
    const source = new TestEndpoint(contextOf('in', { marshaller, source: { ack: true, pause: true } }))
    const lane = new Lane({
      source,
      target: new TestEndpoint(contextOf('out', { marshaller, confirm: true })),
      steps: [],
      optional: false,
      delivery: deliveryOf({ overflow: 'block', durable: { path: temporaryFolder('journal'), bytes: 1024 * 1024 } }),
      onDrop: () => {},
    })
    t.after(async () => {
      lane.close()
      await lane.whenClosed()
    })
    source.start()
    assert.equal(source.suspended, false)
    const opening = lane.open()
    assert.equal(source.suspended, true)
    await opening
    assert.equal(source.suspended, false)
  })
})

describe('a lane with a durable buffer and dead letters', () => {
  it('keeps what it cannot read of its disk in these: nobody else has it', async (t) => {
    const marshaller = counting()
    const path = temporaryFolder('journal')
    const journal = await Journal.open({ path, maxBytes: 1_000_000 })
    journal.append(Buffer.from('written by somebody else'))
    await journal.close()
    const deadLetters = new TestEndpoint(contextOf('dead', { marshaller }))
    const lane = new Lane({
      source: new TestEndpoint(contextOf('in', { marshaller })),
      target: new TestEndpoint(contextOf('out', { marshaller, confirm: true })),
      steps: [],
      optional: false,
      delivery: deliveryOf({ durable: { path, bytes: 1024 * 1024 } }),
      deadLetters,
      onDrop: () => {},
    })
    t.after(async () => {
      lane.close()
      await lane.whenClosed()
    })
    deadLetters.start()
    await lane.open()
    await until(() => lane.messages === 0)
    assert.equal(lane.ledger.deadLettered, 1)
    assert.equal(lane.ledger.waiting, 0)
    assert.equal(deadLetters.sent[0]?.payload.toString(), 'written by somebody else')
  })
})
