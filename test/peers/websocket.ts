/** Clients of `endpoint-websocket`: plain ones, and those of `araldo.v1`, which are told what became of their messages. */
import { randomUUID } from 'node:crypto'
import type { Endpoint } from '../../lib/endpoint.ts'
import type { Emitted, OpenRelay, Received } from '../../lib/testing/index.ts'
import type { Headers } from '../../lib/types.ts'
import { connect, type TestClient } from '../support/client.ts'
import type { Extra, InteropPeer } from './peer.ts'

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
export interface Dialect {
  readonly options: object
  readonly protocols: string[]
  encode(payload: Buffer, relay: OpenRelay, extra?: Extra): Sent
  /** What it got: a payload and what the frame says beside it; or the id of a message that it need not send again. */
  decode(data: string | Buffer): { readonly payload?: Buffer; readonly headers?: Headers; readonly done?: string }
}

export const plain: Dialect = {
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
export const acknowledged: Dialect = {
  options: { acknowledge: 'required' },
  protocols: ['araldo.v1'],
  encode(payload, { server, endpoint, binary }, { key = 'a key', headers = { 'x-test': 'grün' } } = {}) {
    const { format } = (server.araldo.endpoints.get(endpoint) as Endpoint).marshaller
    const id = randomUUID()
    const known = { key, headers }
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
    const headers = { id }
    if (frame.base64 !== undefined) return { payload: Buffer.from(frame.base64, 'base64'), headers }
    return { payload: Buffer.from(frame.text ?? JSON.stringify(frame.body)), headers }
  },
}

/** The world on the other side is a client, which connects again when it was sent away. */
export function createWebSocketPeer({ options, protocols, encode, decode }: Dialect): InteropPeer {
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
      const { payload, headers, done } = decode(data)
      if (payload !== undefined) received.push({ payload, topic: path, ...(headers && { headers }) })
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
    emit: async (payload, extra) => {
      const { socket } = await connected()
      const { data, binary, known = {}, id } = encode(payload, relay as OpenRelay, extra)
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
