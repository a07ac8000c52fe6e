import { randomUUID } from 'node:crypto'
import { describe } from 'node:test'
import type { Endpoint } from '../../lib/endpoint.ts'
import { endpointWebSocket } from '../../lib/endpoints/websocket/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { Emitted, OpenRelay, Peer, Received } from '../../lib/testing/index.ts'
import { connect, type TestClient } from '../support/client.ts'

let paths = 0

/** What a client sends for a payload. */
interface Sent {
  readonly data: Buffer
  readonly binary: boolean
  readonly known?: Emitted
  /** Of a message that is answered. */
  readonly id?: string
}

/** How a client speaks. */
interface Dialect {
  readonly options: object
  readonly protocols: string[]
  encode(payload: Buffer, relay: OpenRelay): Sent
  /** The payload of what it got; or the id of a message that it need not send again. */
  decode(data: string | Buffer): { readonly payload?: Buffer; readonly done?: string }
}

const plain: Dialect = {
  options: {},
  protocols: [],
  encode: (data, { binary }) => ({ data, binary }),
  decode: (data) => ({ payload: Buffer.from(data) }),
}

interface ServerFrame {
  readonly type: 'message' | 'ack' | 'nack'
  readonly id: string
  readonly retry?: boolean
  readonly body?: unknown
  readonly text?: string
  readonly base64?: string
}

/** Every client is told what became of its messages: the endpoint is a source that acknowledges. */
const acknowledged: Dialect = {
  options: { acknowledge: 'required' },
  protocols: ['araldo.v1'],
  encode(payload, { server, endpoint, binary }) {
    const { format } = (server.araldo.endpoints.get(endpoint) as Endpoint).marshaller
    const id = randomUUID()
    const known = { key: 'a key', headers: { 'x-test': 'grün' } }
    const head = JSON.stringify({ type: 'message', id, ...known }).slice(0, -1)
    const sent = (member: string, value: Buffer | string): Sent => {
      const frame = Buffer.concat([Buffer.from(`${head},"${member}":`), Buffer.from(value), Buffer.from('}')])
      return { data: frame, binary: false, known, id }
    }
    if (binary) return sent('base64', JSON.stringify(payload.toString('base64')))
    // As a careless client would: what is no JSON makes a frame that is none.
    return format === 'text' ? sent('text', JSON.stringify(payload.toString())) : sent('body', payload)
  },
  decode(data) {
    const { type, id, retry, ...frame } = JSON.parse(String(data)) as ServerFrame
    if (type !== 'message') return retry === true ? {} : { done: id }
    if (frame.base64 !== undefined) return { payload: Buffer.from(frame.base64, 'base64') }
    return { payload: Buffer.from(frame.text ?? JSON.stringify(frame.body)) }
  },
}

/** The world on the other side is a client, which connects again when it was sent away. */
function createPeer({ options, protocols, encode, decode }: Dialect): Peer {
  const route = `/ws-${paths++}`
  const path = `${route}/lobby`
  const received: Received[] = []
  const unanswered = new Set<string>()
  let relay: OpenRelay | undefined
  let client: TestClient | undefined

  async function connected(): Promise<TestClient> {
    take()
    if (client?.socket.readyState !== client?.socket.OPEN) client = undefined
    return (client ??= await connect(`ws://${relay?.host}${path}`, { protocols }))
  }

  function take(): void {
    for (const data of client?.drain() ?? []) {
      const { payload, done } = decode(data)
      if (payload !== undefined) received.push({ payload, topic: path })
      if (done !== undefined) unanswered.delete(done)
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
      const { data, binary, known = {}, id } = encode(payload, relay as OpenRelay)
      if (id !== undefined) unanswered.add(id)
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
    ...(protocols.length > 0 && {
      pending: () => {
        take()
        return unanswered.size
      },
    }),
    close: () => client?.terminate(),
  }
}

describe('plain clients', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createPeer(plain) })
})
describe('clients that are told what became of their messages', () => {
  testEndpoint({ type: endpointWebSocket, createPeer: () => createPeer(acknowledged) })
})
