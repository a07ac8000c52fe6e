import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startRabbitmq } from './rabbitmq.ts'
import { need } from './require.ts'
import { survivesACrash } from './server.ts'

test('RabbitMQ of the tests', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd') }, async (t) => {
  const rabbitmq = await startRabbitmq({ t })
  await survivesACrash(rabbitmq)
  assert.match(await rabbitmq.control('status', '--quiet'), /RabbitMQ version/)
  assert.deepEqual(await rabbitmq.stop(), { code: 0, signal: null })
})
