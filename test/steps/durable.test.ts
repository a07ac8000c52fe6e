/** Steps before a durable buffer. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Lane } from '../../lib/delivery/lane.ts'
import { compileSteps } from '../../lib/steps.ts'
import { contextOf, counting, deliveryOf, TestEndpoint } from '../support/core.ts'
import { temporaryFolder } from '../support/process.ts'
import { step } from './support.ts'

describe('a lane with steps and a durable buffer', () => {
  it('waits for its dead letters, and lets others work meanwhile, though its target is down', async (t) => {
    const marshaller = counting()
    const source = new TestEndpoint(contextOf('in', { marshaller }))
    const target = new TestEndpoint(contextOf('out', { marshaller, confirm: true }))
    const deadLetters = new TestEndpoint(contextOf('dead', { marshaller }))
    const lane = new Lane({
      source,
      target,
      ...compileSteps([step.dedupe('body.key'), step.map('body.missing')]),
      optional: false,
      delivery: deliveryOf({ durable: { path: temporaryFolder('journal'), bytes: 1024 * 1024 } }),
      deadLetters,
      onDrop: () => {},
    })
    t.after(async () => {
      lane.close()
      await lane.whenClosed()
    })
    source.bind((message, settle) => lane.accept(message, settle && { settle }))
    source.start()
    await lane.open()
    source.feed({ body: { key: 'a' } }, () => {})
    source.feed({ body: { key: 'a' } }, () => {})
    let isEmpty = false
    const resting = lane.whenEmpty().then(() => (isEmpty = true))
    for (let turns = 10; turns > 0; turns--) await turn()
    assert.equal(isEmpty, false)
    deadLetters.start()
    await resting
    assert.equal(lane.ledger.deadLettered, 2)
    assert.equal(lane.messages, 0)
  })
})
