import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { startNats } from '../support/nats.ts'
import { runOrThrow, startProcess } from '../support/process.ts'
import { startRabbitmq } from '../support/rabbitmq.ts'
import { find, need } from '../support/require.ts'
import { until } from '../support/wait.ts'

const missing = need('rabbitmq-server', 'nats-server', 'amqp-publish', 'amqp-get')

describe('example/orders', { skip: missing }, () => {
  test('each order is in NATS, large ones are at the webhook, what is no subject is a dead letter', async (t) => {
    const [rabbitmq, nats] = await Promise.all([startRabbitmq({ t }), startNats({ t })])
    const requests: { readonly body: string; readonly signature: unknown }[] = []
    const webhook = createServer((request, response) => {
      void buffer(request).then((body) => {
        requests.push({ body: body.toString(), signature: request.headers['x-signature'] })
        response.end()
      })
    })
    await once(webhook.listen(0, '127.0.0.1'), 'listening')
    t.after(() => webhook.close())
    const subscriber = await connect({ servers: nats.url })
    t.after(() => subscriber.close())
    const subjects: string[] = []
    subscriber.subscribe('orders.>', {
      callback: (_error, { subject, data }) => void subjects.push(`${subject} ${Buffer.from(data).toString()}`),
    })
    await subscriber.flush()

    const env = {
      PORT: '0',
      AMQP_URL: rabbitmq.url,
      NATS_URL: nats.url,
      WEBHOOK_URL: `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/orders`,
      WEBHOOK_SECRET: 'between us',
    }
    const args = ['dist/cli.js', '-c', 'example/orders/araldo.yaml']
    const relay = await startProcess({ command: process.execPath, args, env, ready: /listening at http/, t })
    const url = `--url=${rabbitmq.url}`
    const publish = (order: object): Promise<string> =>
      runOrThrow(find('amqp-publish'), [url, '-r', 'orders', '-b', JSON.stringify(order)])
    await until(async () => (await rabbitmq.control('list_queues', '--quiet', 'name')).includes('orders.dead'), {
      timeout: 20_000,
    })
    const large = '{"id":7,"region":"eu","total":120}'
    await publish({ id: 6, region: 'us', total: 20 })
    await publish(JSON.parse(large) as object)
    await publish({ id: 8, region: 'eu.*', total: 1 })
    await until(() => subjects.length === 2 && requests.length === 1)
    assert.deepEqual(subjects, ['orders.us {"id":6,"region":"us","total":20}', `orders.eu ${large}`])
    const signature = createHmac('sha256', 'between us').update(large).digest('hex')
    assert.deepEqual(requests, [{ body: large, signature }])
    const counts = (): Promise<string> => rabbitmq.control('list_queues', '--quiet', 'name', 'messages')
    await until(async () => /orders\.dead\s+1/.test(await counts()) && /orders\s+0/.test(await counts()), {
      timeout: 20_000,
    })
    assert.match(await runOrThrow(find('amqp-get'), [url, '-q', 'orders.dead']), /"eu\.\*"/)
    assert.deepEqual(await relay.stop(), { code: 0, signal: null })
  })
})
