/** A server whose every move the test makes. */
import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { SecureContextOptions, TlsOptions } from 'node:tls'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { Owner } from '../../support/process.ts'

export interface TestServer {
  readonly url: string
  /** Those that are connected, or were. */
  readonly clients: readonly TestServerClient[]
}

export interface TestServerClient {
  readonly websocket: WebSocket
  readonly request: IncomingMessage
  /** What it has sent, in order: text as text, bytes as they are. */
  readonly got: readonly (string | Buffer)[]
}

export interface TestServerOptions extends ServerOptions {
  readonly t: Owner
  readonly tls?: SecureContextOptions & TlsOptions
  readonly port?: number
  onClient?(websocket: WebSocket): void
  /** Of requests that are no handshake. */
  onRequest?: RequestListener
}

export async function startServer({
  t,
  tls,
  onClient,
  onRequest,
  port = 0,
  ...options
}: TestServerOptions): Promise<TestServer> {
  const http: Server = tls === undefined ? createHttp(onRequest) : createHttps(tls, onRequest)
  const server = new WebSocketServer({ noServer: true, ...options })
  const clients: TestServerClient[] = []
  http.on('upgrade', (request, socket, head) => {
    server.handleUpgrade(request, socket, head, (websocket) => {
      const got: (string | Buffer)[] = []
      clients.push({ websocket, request, got })
      websocket.on('error', () => {})
      websocket.on('message', (data: Buffer, isBinary) => got.push(isBinary ? data : data.toString()))
      onClient?.(websocket)
    })
  })
  t.after(() => {
    for (const { websocket } of clients) websocket.terminate()
    http.closeAllConnections()
    http.close()
  })
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve))
  const address = http.address() as AddressInfo
  return { url: `${tls === undefined ? 'ws' : 'wss'}://127.0.0.1:${address.port}/ws`, clients }
}

/** Refuses every handshake with a status. */
export async function startRefusing(t: Owner, status: number, headers: Record<string, string> = {}): Promise<string> {
  const http = createHttp()
  http.on('upgrade', (_request, socket) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${status} No\r\nconnection: close\r\n${lines.join('')}\r\n`)
  })
  t.after(() => {
    http.closeAllConnections()
    http.close()
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return `ws://127.0.0.1:${(http.address() as AddressInfo).port}/ws`
}
