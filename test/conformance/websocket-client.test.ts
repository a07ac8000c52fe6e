import { describe } from 'node:test'
import { endpointWebSocketClient } from '../../lib/endpoints/websocket-client/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createWebSocketServerPeer } from '../peers/websocket-client.ts'

describe('a plain server', () => {
  testEndpoint({ type: endpointWebSocketClient, createPeer: () => createWebSocketServerPeer() })
})
describe('a server that answers each message (araldo.v1)', () => {
  testEndpoint({ type: endpointWebSocketClient, createPeer: () => createWebSocketServerPeer({ acknowledge: true }) })
})
