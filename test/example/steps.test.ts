import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runOrThrow, startProcess } from '../support/process.ts'
import { connect } from '../support/client.ts'

test('example/steps: check lists the steps of each lane in their order, and says what is a wiretap', async () => {
  const stdout = await runOrThrow(process.execPath, ['dist/cli.js', 'check', '-c', 'example/steps/araldo.yaml'])
  assert.match(stdout, /^orders +→ +lines .* when, dedupe, module, split, map, key, throttle$/m)
  assert.match(stdout, /^orders +→ +copies +at most once, drop-oldest +\(wiretap\)$/m)
})

test('example/steps: the lines of an order go out one by one, with their prices, once', async (t) => {
  const relay = await startProcess({
    command: process.execPath,
    args: ['dist/cli.js', '-c', 'example/steps/araldo.yaml'],
    env: { PORT: '0' },
    ready: /listening at http/,
    t,
  })
  const [, host = ''] = await relay.line(/listening at http:\/\/([^"\s]+)/)
  const lines = await connect(`ws://${host}/lines`, { t })
  const orders = await connect(`ws://${host}/orders`, { t })
  await orders.send({
    id: 1,
    lines: [
      { item: 'tea', count: 2 },
      { item: 'cup', count: 1 },
    ],
  })
  const received = [await lines.nextJson(), await lines.nextJson()]
  assert.deepEqual(received, [
    { item: 'tea', total: 9 },
    { item: 'cup', total: 12 },
  ])
  await orders.send({ id: 1, lines: [{ item: 'tea', count: 100 }] })
  await orders.send({ id: 2, lines: [{ item: 'no such thing', count: 1 }] })
  await orders.send({ id: 3, lines: [{ item: 'tea', count: 1 }] })
  assert.deepEqual(await lines.nextJson(), { item: 'tea', total: 4.5 })
})
