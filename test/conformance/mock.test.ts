import type { FastifyInstance } from 'fastify'
import { endpointMock } from '../../lib/endpoints/mock.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Peer, Received } from '../../lib/testing/index.ts'

let channels = 0

/** The world on the other side of a mock is another mock of its channel, between two endpoints of the application. */
function createPeer(): Peer {
  const channel = `channel-${channels++}`
  const [outside, into, from] = [`outside-${channel}`, `into-outside-${channel}`, `from-outside-${channel}`]
  const topic = `topic-${channel}`
  const received: Received[] = []
  let relay: FastifyInstance | undefined
  return {
    options: { channel },
    topic,
    configure: ({ plugins, routes }) => {
      const endpoints = (plugins as Record<string, object[]>)['araldo.endpoints.endpoint'] ?? []
      const added = [
        { name: outside, id: 'endpoint-mock', channel, marshalling: 'suite' },
        { name: into, id: 'endpoint-app', marshalling: 'suite' },
        { name: from, id: 'endpoint-app', marshalling: 'suite' },
      ]
      return {
        plugins: { ...plugins, 'araldo.endpoints.endpoint': [...endpoints, ...added] },
        routes: { ...routes, [into]: [outside], [outside]: [from] },
      }
    },
    open: ({ server }) => {
      relay = server
      server.araldo.subscribe(from, (message) => {
        received.push({ payload: message.payload, topic: message.topic, headers: message.headers })
      })
    },
    emit: async (payload) => {
      const emitted = { topic, key: 'key', headers: { from: 'outside' } }
      await relay?.araldo.publish(into, payload, emitted)
      return emitted
    },
    received: () => received,
  }
}

testEndpoint({ type: endpointMock, createPeer })
