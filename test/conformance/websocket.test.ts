import { describe } from 'node:test'
import { endpointWebSocket } from '../../lib/endpoints/websocket/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { acknowledged, createWebSocketPeer, plain } from '../peers/websocket.ts'

describe('plain clients', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createWebSocketPeer(plain) })
})
describe('clients that are told what became of their messages', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createWebSocketPeer(acknowledged) })
})
