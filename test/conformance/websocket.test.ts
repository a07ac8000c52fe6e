import { randomUUID } from 'node:crypto'
import { describe } from 'node:test'
import type { Endpoint } from '../../lib/endpoint.ts'
import { endpointWebSocket } from '../../lib/endpoints/websocket/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Emitted, OpenRelay, Peer, Received } from '../../lib/testing/index.ts'
import { connect, type TestClient } from '../support/client.ts'

let paths = 0

/** How a client speaks. */
interface Dialect {
  readonly options: object
  readonly protocols: string[]
  /** What it sends for a payload. */
  encode(
    payload: Buffer,
    relay: OpenRelay,
  ): { readonly data: Buffer; readonly binary: boolean; readonly known?: Emitted }
  /** The payload of what it got; undefined where that is no message. */
  decode(data: string | Buffer): Buffer | undefined
}

const plain: Dialect = {
  options: {},
  protocols: [],
  encode: (data, { binary }) => ({ data, binary }),
  decode: (data) => Buffer.from(data),
}

/** Every client is told what became of its messages: the endpoint is a source that acknowledges. */
const acknowledged: Dialect = {
  options: { acknowledge: 'required' },
  protocols: ['araldo.v1'],
  encode(payload, { server, endpoint, binary }) {
    const { format } = (server.araldo.endpoints.get(endpoint) as Endpoint).marshaller
    const known = { key: 'a key', headers: { 'x-test': 'grün' } }
    const head = JSON.stringify({ type: 'message', id: randomUUID(), ...known }).slice(0, -1)
    const member = (name: string, text: string): Buffer => Buffer.from(`${head},"${name}":"${text}"}`)
    if (binary) return { data: member('base64', payload.toString('base64')), binary: false, known }
    const text = JSON.stringify(payload.toString()).slice(1, -1)
    if (format === 'text') return { data: member('text', text), binary: false, known }
    // As a careless client would: what is no JSON makes a frame that is none.
    return { data: Buffer.concat([Buffer.from(`${head},"body":`), payload, Buffer.from('}')]), binary: false, known }
  },
  decode(data) {
    const frame = JSON.parse(String(data)) as { type: string; body?: unknown; text?: string; base64?: string }
    if (frame.type !== 'message') return undefined
    if (frame.base64 !== undefined) return Buffer.from(frame.base64, 'base64')
    return Buffer.from(frame.text ?? JSON.stringify(frame.body))
  },
}

/** The world on the other side is a client, which connects again when it was sent away. */
function createPeer({ options, protocols, encode, decode }: Dialect): Peer {
  const route = `/ws-${paths++}`
  const path = `${route}/lobby`
  const received: Received[] = []
  let relay: OpenRelay | undefined
  let client: TestClient | undefined

  async function connected(): Promise<TestClient> {
    take()
    if (client?.socket.readyState !== client?.socket.OPEN) client = undefined
    return (client ??= await connect(`ws://${relay?.host}${path}`, { protocols }))
  }

  function take(): void {
    for (const data of client?.drain() ?? []) {
      const payload = decode(data)
      if (payload !== undefined) received.push({ payload, topic: path })
    }
  }

  return {
    options: { path: `${route}/:room`, topic: '{topic}', 'max-payload': '32KiB', ...options },
    topic: path,
    open: async (opened) => {
      relay = opened
      await connected()
    },
    emit: async (payload) => {
      const { socket } = await connected()
      const { data, binary, known = {} } = encode(payload, relay as OpenRelay)
      await new Promise<void>((resolve, reject) => {
        socket.send(data, { binary }, (error) => (error ? reject(error) : resolve()))
      })
      return { topic: path, ...known, headers: { param_room: 'lobby', ...known.headers } }
    },
    received: async () => {
      await connected()
      take()
      return received
    },
    close: () => client?.terminate(),
  }
}

describe('plain clients', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createPeer(plain) })
})
describe('clients that are told what became of their messages', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createPeer(acknowledged) })
})
