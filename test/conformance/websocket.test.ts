import { endpointWebSocket } from '../../lib/endpoints/websocket/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import type { OpenRelay, Peer, Received } from '../../lib/testing/index.ts'
import { connect, type TestClient } from '../support/client.ts'

let paths = 0

/** The world on the other side is a client, which connects again when it was sent away. */
function createPeer(): Peer {
  const route = `/ws-${paths++}`
  const path = `${route}/lobby`
  const received: Received[] = []
  let relay: OpenRelay | undefined
  let client: TestClient | undefined

  async function connected(): Promise<TestClient> {
    take()
    if (client?.socket.readyState !== client?.socket.OPEN) client = undefined
    return (client ??= await connect(`ws://${relay?.host}${path}`))
  }

  function take(): void {
    for (const message of client?.drain() ?? []) received.push({ payload: Buffer.from(message), topic: path })
  }

  return {
    options: { path: `${route}/:room`, topic: '{topic}', 'max-payload': '32KiB' },
    topic: path,
    open: async (opened) => {
      relay = opened
      await connected()
    },
    emit: async (payload) => {
      const { socket } = await connected()
      await new Promise<void>((resolve, reject) => {
        socket.send(payload, { binary: relay?.binary === true }, (error) => (error ? reject(error) : resolve()))
      })
      return { topic: path, headers: { param_room: 'lobby' } }
    },
    received: async () => {
      await connected()
      take()
      return received
    },
    close: () => client?.terminate(),
  }
}

testEndpoint({ type: endpointWebSocket, createPeer })
