/**
 * The world on the other side of an endpoint of HTTP: a client that posts to it, made of undici, and a server of Node's own
 * that it posts to. Requests that are to be sent again later are sent again, in their order.
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import type { Endpoint } from '../../lib/endpoint.ts'
import type { Emitted, OpenRelay, Peer, Received } from '../../lib/testing/index.ts'
import { until } from '../support/wait.ts'

/** What a message of a peer has beside its payload. */
export interface Extra {
  readonly key?: string
  readonly id?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface HttpReceived extends Received {
  readonly key: string | undefined
  readonly id: string | undefined
}

export interface HttpPeer extends Peer {
  /** Resolves when it is answered with 2xx, or is in hand; rejects where it is refused for good, or nobody answers. */
  emit(payload: Buffer, extra?: Extra): Promise<Emitted>
  pending(): number
  received(): readonly HttpReceived[]
  /** The server that it has: it can go away and come back, and an endpoint that sends to it stays up meanwhile. */
  readonly receiver: { stop(): Promise<void>; start(): Promise<void> }
  /** `127.0.0.1:40123`, of the relay: for one that is not of this process. */
  connect(host: string): void
  close(): Promise<void>
}

/** Between two tries of what was answered with 503 (milliseconds). */
const PAUSE = 10
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  text: 'text/plain; charset=utf-8',
  raw: 'application/octet-stream',
}

let peers = 0

/** UTF-8, which Node has read as if each byte were a character. */
export function headersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const decoded: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) decoded[name] = Buffer.from(String(value), 'latin1').toString()
  return decoded
}

interface Sent {
  readonly payload: Buffer
  readonly headers: Record<string, string>
}

/** @param options of the endpoint, beside those that say where it is. */
export async function createHttpPeer(options: object = {}): Promise<HttpPeer> {
  const path = `/in-${process.pid}-${peers++}`
  const received: HttpReceived[] = []
  const server = listener((payload, headers) => {
    const { 'araldo-key': key, 'araldo-id': id } = headers
    received.push({ payload, headers, key, id })
  })
  await listen(server, 0)
  const { port } = server.address() as AddressInfo

  const agent = new Agent({ connections: 64, pipelining: 1, headersTimeout: 0 })
  let base = ''
  let endpoint: Endpoint | undefined
  const end = new AbortController()
  let unanswered = 0
  const again: Sent[] = []
  let isResending = false

  async function post({ payload, headers }: Sent): Promise<number> {
    const { statusCode, body } = await request(`${base}${path}/room`, {
      dispatcher: agent,
      method: 'POST',
      headers,
      body: payload,
    })
    await body.dump()
    return statusCode
  }

  async function resend(): Promise<void> {
    if (isResending) return
    isResending = true
    while (again.length > 0 && !end.signal.aborted) {
      const status = await post(again[0] as Sent).catch(() => 503)
      if (status >= 500) await new Promise((resolve) => setTimeout(resolve, PAUSE))
      else {
        again.shift()
        unanswered--
      }
    }
    isResending = false
  }

  /** Those that are to be sent again come before those that follow. */
  async function deliver(sent: Sent): Promise<void> {
    if (again.length > 0) {
      again.push(sent)
      return
    }
    const status = await post(sent).catch((error: unknown) => {
      unanswered--
      throw error
    })
    if (status === 503 || status === 504) {
      again.push(sent)
      void resend()
    } else {
      unanswered--
      if (status >= 300) throw new Error(`answered with ${status}`)
    }
  }

  return {
    options: {
      path: `${path}/:room`,
      url: `http://127.0.0.1:${port}/hook`,
      'allow-private': ['127.0.0.0/8'],
      'forward-headers': ['*', 'araldo-test', 'araldo-empty'],
      ...options,
    },
    open: ({ server: { araldo }, endpoint: name, host }: OpenRelay) => {
      base = `http://${host}`
      endpoint = araldo.endpoints.get(name) as Endpoint | undefined
    },
    connect: (host) => {
      base = `http://${host}`
    },
    emit: async (payload, { key, id, headers = {} } = {}) => {
      const format = endpoint?.marshaller.format ?? 'raw'
      const fields: Record<string, string> = { 'content-type': CONTENT_TYPES[format] ?? 'application/json' }
      for (const [name, value] of Object.entries(headers)) fields[name] = Buffer.from(value).toString('latin1')
      if (key !== undefined) fields['araldo-key'] = Buffer.from(key).toString('latin1')
      if (id !== undefined) fields['araldo-id'] = id
      const inHand = endpoint?.gauges['requests'] ?? Infinity
      unanswered++
      let isAnswered = false
      const delivering = deliver({ payload, headers: fields }).finally(() => (isAnswered = true))
      // What is not settled is not answered, either.
      const taken = until(() => isAnswered || (endpoint?.gauges['requests'] ?? 0) > inHand).catch(() => {})
      await Promise.race([delivering, taken])
      delivering.catch(() => {})
      return {
        topic: `${path}/room`,
        headers: { param_room: 'room', ...headers },
        ...(key === undefined ? {} : { key }),
      }
    },
    pending: () => unanswered,
    received: () => received,
    receiver: {
      stop: async () => {
        server.closeAllConnections()
        server.close()
        if (server.listening) await once(server, 'close')
      },
      start: () => listen(server, port),
    },
    close: async () => {
      end.abort()
      await agent.destroy()
      server.closeAllConnections()
      server.close()
    },
  }
}

function listener(onRequest: (payload: Buffer, headers: Record<string, string>) => void): Server {
  return createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      onRequest(Buffer.concat(chunks), headersOf(message.headers))
      response.writeHead(204).end()
    })
  })
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}
