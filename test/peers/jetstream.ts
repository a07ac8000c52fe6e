/** The world on the other side of an endpoint of JetStream: two streams, and another client of the server. */
import { DeliverPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import type { Emitted, Peer } from '../../lib/testing/index.ts'
import type { NatsServer } from '../support/nats.ts'
import { until, within } from '../support/wait.ts'
import { type Extra, headersOf, type NatsReceived, reconnecting } from './nats.ts'

export interface JetStreamPeer extends Peer {
  /** Resolves when the stream has it; rejects within three seconds where it does not. */
  emit(payload: Buffer, extra?: Extra): Promise<Emitted>
  received(): Promise<readonly NatsReceived[]>
  pending(): Promise<number>
  close(): Promise<void>
}

const EMIT_TIMEOUT = 3_000
const FETCH_TIMEOUT = 2_000
const DURABLE = 'relay'
let peers = 0

/** @param options of the endpoint, beside those that say where it is and what it reads and writes. */
export async function createJetStreamPeer(server: NatsServer, options: object = {}): Promise<JetStreamPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing] = [`in-${number}`, `out-${number}`]
  const client = await reconnecting(server)
  const js = jetstream(client)
  const manager = await jetstreamManager(client)
  for (const name of [incoming, outgoing]) {
    await manager.streams.add({
      name,
      subjects: [name],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
    })
  }
  const received: NatsReceived[] = []
  return {
    options: {
      url: server.url,
      stream: incoming,
      subject: incoming,
      durable: DURABLE,
      create: true,
      topic: '{topic}',
      'ping-interval': '100ms',
      ...options,
    },
    topic: outgoing,
    emit: async (payload, { key, headers: extra = {} } = {}) => {
      const block = headers()
      for (const [name, value] of Object.entries(extra)) block.set(name, value)
      if (key !== undefined) block.set('araldo-key', key)
      await js.publish(incoming, payload, { headers: block, timeout: EMIT_TIMEOUT })
      return { topic: incoming, headers: extra, ...(key === undefined ? {} : { key }) }
    },
    received: async () => {
      const { state } = await manager.streams.info(outgoing)
      const missing = state.last_seq - received.length
      if (missing <= 0) return received
      const from = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: received.length + 1 }
      const consumer = await js.consumers.get(outgoing, from)
      for await (const message of await consumer.fetch({ max_messages: missing, expires: FETCH_TIMEOUT })) {
        if (message.seq !== received.length + 1)
          throw new Error(`message ${received.length + 1} of ${outgoing} is gone`)
        const all = headersOf(message)
        const { 'araldo-key': key, 'araldo-id': id } = all
        received.push({ payload: Buffer.from(message.data), topic: message.subject, headers: all, key, id })
      }
      return received
    },
    pending: async () => {
      const consumers = await manager.consumers.list(incoming).next()
      const consumer = consumers.find(({ name }) => name === DURABLE)
      if (consumer === undefined) return (await manager.streams.info(incoming)).state.messages
      return consumer.num_pending + consumer.num_ack_pending
    },
    outage: {
      stop: async () => void (await server.kill()),
      start: async () => {
        await server.start()
        await until(() => within(manager.streams.info(outgoing), { timeout: 500 }))
      },
      freeze: () => server.pause(),
      thaw: () => server.resume(),
    },
    close: async () => {
      await client.close()
      if (!server.process.running) await server.start()
    },
  }
}
