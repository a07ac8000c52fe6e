import type { FastifyInstance } from 'fastify'
import { endpointApp } from '../../lib/endpoints/app.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Peer, Received } from '../../lib/testing/index.ts'

/** The world on the other side is the application that the relay lives in. */
function createPeer(): Peer {
  const received: Received[] = []
  let publish: FastifyInstance['araldo']['publish'] | undefined
  let name = ''
  return {
    options: {},
    topic: 'news',
    open: ({ server, endpoint }) => {
      name = endpoint
      publish = server.araldo.publish.bind(server.araldo)
      server.araldo.subscribe(
        endpoint,
        ({ payload, topic, headers }) => void received.push({ payload, topic, headers }),
      )
    },
    emit: async (payload) => {
      const emitted = { topic: 'orders', key: 'key', headers: { from: 'outside' } }
      await publish?.(name, payload, emitted)
      return emitted
    },
    received: () => received,
  }
}

testEndpoint({ type: endpointApp, createPeer })
