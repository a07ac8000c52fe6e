import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Lane } from '../lib/lane.ts'
import { contextOf, counting, deliveryOf, TestEndpoint } from './support/core.ts'
import { temporaryFolder } from './support/process.ts'

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
