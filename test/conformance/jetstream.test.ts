import { before, describe } from 'node:test'
import { endpointJetStream } from '../../lib/endpoints/nats/jetstream/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createJetStreamPeer } from '../peers/jetstream.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { need } from '../support/require.ts'

let nats: NatsServer

describe('NATS JetStream', { skip: need('nats-server') }, () => {
  before(async () => {
    nats = await startNats({ jetStream: true })
  })

  testEndpoint({
    type: endpointJetStream,
    createPeer: async () => {
      const peer = await createJetStreamPeer(nats)
      return { ...peer, emit: (payload) => peer.emit(payload, { key: 'k', headers: { kind: 'test', Case: 'grün' } }) }
    },
  })
})
