import { before, describe } from 'node:test'
import { endpointNats } from '../../lib/endpoints/nats/core/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createNatsPeer } from '../peers/nats.ts'
import { type NatsServer, startNats } from '../support/nats.ts'
import { need } from '../support/require.ts'

let nats: NatsServer

describe('NATS', { skip: need('nats-server') }, () => {
  before(async () => {
    nats = await startNats()
  })

  describe('as it is', () => {
    testEndpoint({
      type: endpointNats,
      createPeer: async () => {
        const peer = await createNatsPeer(nats)
        return { ...peer, emit: (payload) => peer.emit(payload, { key: 'k', headers: { kind: 'test', Case: 'grün' } }) }
      },
    })
  })

  describe('with confirmations', () => {
    testEndpoint({ type: endpointNats, createPeer: () => createNatsPeer(nats, { confirm: 'flush' }) })
  })

  describe('without headers', () => {
    testEndpoint({ type: endpointNats, createPeer: () => createNatsPeer(nats, { headers: false }) })
  })
})
