/** The world on the other side of `endpoint-websocket-client`: a server, a plain one or one that speaks `araldo.v1`. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Endpoint } from '../../lib/endpoint.ts'
import type { OpenRelay, Received } from '../../lib/testing/index.ts'
import { until } from '../support/wait.ts'
import type { InteropPeer } from './peer.ts'

export interface ServerPeer extends InteropPeer {
  close(): Promise<void>
}

interface ClientFrame {
  readonly type: 'session' | 'message'
  readonly id: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly text?: string
  readonly base64?: string
}

const EMIT_TIMEOUT = 3_000

export interface ServerPeerOptions {
  /** Whether the server answers each message, as `araldo.v1` has it. */
  readonly acknowledge?: boolean
  /** Bytes of a frame, at most: of one that the relay sends. */
  readonly maxPayload?: number
}

export async function createWebSocketServerPeer({
  acknowledge = false,
  maxPayload = 32 * 1024,
}: ServerPeerOptions = {}): Promise<ServerPeer> {
  const received: Received[] = []
  const sockets = new Set<Socket>()
  let relay: OpenRelay | undefined
  let isFrozen = false
  let http: Server | undefined
  let port = 0
  let pushes = 0
  const websockets = new WebSocketServer({
    noServer: true,
    maxPayload,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('araldo.v1') ? 'araldo.v1' : false),
  })
  websockets.on('connection', (websocket: WebSocket) => {
    websocket.on('error', () => {})
    websocket.on('message', (data: Buffer) => {
      if (acknowledge) answer(websocket, data)
      else received.push({ payload: data })
    })
  })

  function answer(websocket: WebSocket, data: Buffer): void {
    const { type, id, key, headers, ...frame } = JSON.parse(data.toString()) as ClientFrame
    if (type === 'session') return
    received.push({ payload: payloadIn(data, frame), headers: { ...headers, id, ...(key !== undefined && { key }) } })
    websocket.send(JSON.stringify({ type: 'ack', id }))
  }

  function start(): Promise<void> {
    const server = createServer((_request, response) => response.writeHead(426).end())
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      if (isFrozen) socket.pause()
    })
    server.on('upgrade', (request, socket, head) => {
      if (!isFrozen)
        websockets.handleUpgrade(request, socket, head, (made) => websockets.emit('connection', made, request))
    })
    http = server
    return new Promise((resolve) => {
      server.listen(port, '127.0.0.1', () => {
        ;({ port } = server.address() as AddressInfo)
        resolve()
      })
    })
  }

  async function stop(): Promise<void> {
    const closed = new Promise((resolve) => http?.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }

  function pushOf(payload: Buffer): string | Buffer {
    if (!acknowledge) return payload
    const id = `push-${pushes++}`
    const head = JSON.stringify({ type: 'message', id, time: Date.now() }).slice(0, -1)
    const { server, endpoint } = relay as OpenRelay
    const { format } = (server.araldo.endpoints.get(endpoint) as Endpoint).marshaller
    // As a careless server would: what is no JSON makes a frame that is none.
    if (format === 'json') return Buffer.concat([Buffer.from(`${head},"body":`), payload, Buffer.from('}')])
    if (relay?.binary === true) return `${head},"base64":"${payload.toString('base64')}"}`
    return `${head},"text":${JSON.stringify(payload.toString())}}`
  }

  await start()
  return {
    options: {
      url: `ws://127.0.0.1:${port}/ws`,
      acknowledge,
      'ping-interval': '100ms',
      'ping-timeout': '1s',
      'max-payload': '32KiB',
    },
    open: (opened) => {
      relay = opened
    },
    emit: async (payload) => {
      const client = await until(() => [...websockets.clients].find((each) => each.readyState === each.OPEN), {
        timeout: EMIT_TIMEOUT,
        message: 'the relay to connect',
      })
      const binary = acknowledge ? false : relay?.binary === true
      await new Promise<void>((resolve, reject) => {
        client.send(pushOf(payload), { binary }, (error) => (error ? reject(error) : resolve()))
      })
    },
    received: () => received,
    outage: {
      stop,
      start,
      freeze: () => {
        isFrozen = true
        for (const socket of sockets) socket.pause()
      },
      thaw: () => {
        isFrozen = false
        for (const socket of sockets) socket.resume()
      },
    },
    close: async () => {
      await stop()
      websockets.close()
    },
  }
}

/** JSON byte for byte, as it stands in the frame: it is the frame's last member. */
function payloadIn(frame: Buffer, { text, base64 }: Pick<ClientFrame, 'text' | 'base64'>): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, 'base64')
  if (text !== undefined) return Buffer.from(text)
  return frame.subarray(frame.indexOf('"body":') + '"body":'.length, -1)
}
