/**
 * Clients of HTTP and WebSocket for a relay in a process of its own: each message is safe, or is
 * to be sent again, as the relay says; and a receiver of webhooks that can leave them without an answer.
 */
import { once, setMaxListeners } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, request } from 'undici'
import { WebSocket } from 'ws'
import type { Received } from '../../lib/testing/index.ts'
import type { Extra } from '../peers/peer.ts'

/** Sends to the relay itself. */
export interface RelayClient {
  /** @param host `127.0.0.1:40123` */
  connect(host: string): Promise<void>
  /** Resolves when the relay has said that the message is safe. Rejects when it is not, or when the client is closed. */
  emit(payload: Buffer, extra?: Extra): Promise<void>
  close(): Promise<void>
}

export function createHttpClient(path: string, connections: number): RelayClient {
  const agent = new Agent({ connections, pipelining: 1, headersTimeout: 0 })
  const end = new AbortController()
  setMaxListeners(0, end.signal)
  let url = ''

  async function post(body: Buffer, key: string | undefined): Promise<number> {
    const headers = { 'content-type': 'application/octet-stream', ...(key !== undefined && { 'araldo-key': key }) }
    const { signal } = end
    const response = await request(url, { dispatcher: agent, method: 'POST', headers, body, signal })
    await response.body.dump()
    return response.statusCode
  }

  return {
    connect: async (host) => {
      url = `http://${host}${path}`
    },
    emit: async (payload, { key } = {}) => {
      const status = await post(payload, key)
      if (status >= 300) throw new Error(`answered with ${status}`)
    },
    close: async () => {
      end.abort()
      await agent.destroy()
    },
  }
}

interface Answer {
  readonly type: 'ack' | 'nack' | 'message'
  readonly id: string
}

/** It speaks `araldo.v1`. */
export function createAcknowledgedClient(path: string): RelayClient {
  const open = new Map<string, { resolve(): void; reject(error: Error): void }>()
  let socket: WebSocket | undefined
  let sent = 0
  return {
    connect: async (host) => {
      socket = new WebSocket(`ws://${host}${path}`, 'araldo.v1', { perMessageDeflate: false })
      socket.on('message', (data: Buffer) => {
        const { type, id } = JSON.parse(data.toString()) as Answer
        if (type === 'ack') open.get(id)?.resolve()
        else open.get(id)?.reject(new Error('not acknowledged'))
        open.delete(id)
      })
      socket.on('close', (code) => {
        for (const { reject } of open.values()) reject(new Error(`closed with ${code}`))
        open.clear()
      })
      await once(socket, 'open')
    },
    emit: (payload, { key } = {}) =>
      new Promise((resolve, reject) => {
        const id = `${sent++}`
        open.set(id, { resolve, reject })
        const base64 = payload.toString('base64')
        socket?.send(JSON.stringify({ type: 'message', id, key, base64 }))
      }),
    close: async () => socket?.terminate(),
  }
}

export interface WebhookReceiver {
  readonly url: string
  /** What it has answered, in that order. */
  received(): readonly Received[]
  /** Takes requests and connections, and answers none. */
  freeze(): void
  /** Answers those, too. */
  thaw(): void
  close(): Promise<void>
}

export async function createWebhookReceiver(): Promise<WebhookReceiver> {
  const received: Received[] = []
  const unanswered: (() => void)[] = []
  let isFrozen = false
  const answer = (payload: Buffer, response: ServerResponse): void => {
    received.push({ payload })
    response.writeHead(204).end()
  }
  const server = createServer((message, response) => {
    const chunks: Buffer[] = []
    message.on('data', (chunk: Buffer) => chunks.push(chunk))
    message.on('end', () => {
      const payload = Buffer.concat(chunks)
      if (isFrozen) unanswered.push(() => answer(payload, response))
      else answer(payload, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received: () => received,
    freeze: () => {
      isFrozen = true
    },
    thaw: () => {
      isFrozen = false
      for (const release of unanswered.splice(0)) release()
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
