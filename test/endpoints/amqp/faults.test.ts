/** The broker killed and started again under a relay that bridges two of its queues. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createAmqpPeer } from '../../peers/amqp.ts'
import { type RabbitmqServer, startRabbitmq } from '../../support/rabbitmq.ts'
import { configOf, relayServer } from '../../support/relay.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'

const GENEROUS = { timeout: 120_000, interval: 50 }
const COUNT = 2_000

describe('a bridge between two queues', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd') }, () => {
  let rabbitmq: RabbitmqServer
  before(async () => {
    rabbitmq = await startRabbitmq()
  })

  for (const type of ['quorum', 'classic']) {
    test(`of type ${type} loses nothing when its broker is killed under load, twice`, async (t) => {
      const peer = await createAmqpPeer(rabbitmq, { type })
      t.after(() => peer.close())
      const { url, queue } = peer.options as { url: string; queue: string }
      const endpoint = { id: 'endpoint-amqp', url, heartbeat: '1s', marshalling: 'raw' }
      const from = { ...endpoint, queue, prefetch: 100, declare: { type } }
      const config = configOf({ from, to: { ...endpoint, topic: peer.topic } }, { from: ['to'] })
      const plugins = { 'araldo.marshalling': [{ name: 'raw', id: 'marshal-raw' }], ...config.plugins }
      const server = await relayServer(t, { config: { ...config, plugins } })
      await server.ready()

      const sent = new Set<string>()
      const send = async (count: number): Promise<void> => {
        const end = sent.size + count
        while (sent.size < end) {
          const text = `message ${sent.size}`
          // What is refused while the broker is away is sent again: then it may be there twice.
          await until(() => peer.emit(Buffer.from(text)), GENEROUS)
          sent.add(text)
        }
      }
      const texts = async (): Promise<string[]> => (await peer.received()).map(({ payload }) => payload.toString())
      for (let outage = 0; outage < 2; outage++) {
        const sending = send(COUNT / 2)
        await until(async () => (await texts()).length > (outage + 0.3) * (COUNT / 2), GENEROUS)
        await peer.outage?.stop()
        await peer.outage?.start()
        await sending
      }
      await until(async () => new Set(await texts()).size === COUNT, GENEROUS)
      assert.deepEqual(new Set(await texts()), sent)
      await until(() => server.araldo.routes[0]?.lanes[0]?.ledger.waiting === 0, GENEROUS)
      await server.close()
      assert.equal(await peer.left(), 0)
    })
  }
})
