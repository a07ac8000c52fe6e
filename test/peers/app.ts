/** The application that the relay lives in, as the other side of its `endpoint-app`. */
import type { OpenRelay, Received } from '../../lib/testing/index.ts'
import type { InteropPeer } from './peer.ts'

export function createAppPeer(): InteropPeer {
  const received: Received[] = []
  let relay: OpenRelay | undefined
  return {
    options: {},
    topic: 'news',
    open: (opened) => {
      relay = opened
      opened.server.araldo.subscribe(opened.endpoint, ({ payload, topic, headers, key, id }) => {
        const own = { 'own id': id, ...(key !== undefined && { 'own key': key }) }
        received.push({ payload, topic, headers: { ...headers, ...own } })
      })
    },
    emit: async (payload, { key = 'key', headers = { from: 'outside' } } = {}) => {
      const emitted = { topic: 'orders', key, headers }
      await relay?.server.araldo.publish(relay.endpoint, payload, emitted)
      return emitted
    },
    received: () => received,
  }
}
