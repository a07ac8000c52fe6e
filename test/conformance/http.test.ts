import { describe } from 'node:test'
import { endpointHttp } from '../../lib/endpoints/http/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createHttpPeer } from '../peers/http.ts'

const EXTRA = { key: 'k', headers: { kind: 'test', 'x-case': 'grün' } }

describe('requests that are answered when their messages are settled', () => {
  testEndpoint({
    type: endpointHttp,
    createPeer: async () => {
      const peer = await createHttpPeer()
      return { ...peer, emit: (payload) => peer.emit(payload, EXTRA) }
    },
  })
})

describe('requests that are answered at once', () => {
  testEndpoint({ type: endpointHttp, createPeer: () => createHttpPeer({ acknowledge: 'accepted' }) })
})
