/** Random conversations over real sockets: every client gets exactly what a simple model says, in order. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import { connect, type TestClient } from '../../support/client.ts'
import { type StartedEndpoint, startEndpoint } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'
import { until } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, OPCODES, type RawClient } from './raw.ts'

const ROOMS = ['a', 'b', 'c']
const CLIENTS = 7

type Command =
  | {
      readonly do: 'send'
      readonly room: string | undefined
      readonly except: number | undefined
      readonly size: number
    }
  | { readonly do: 'turn' }
  | { readonly do: 'ping' | 'speak' | 'leave' | 'break'; readonly client: number }

const size = fc.oneof(
  { weight: 6, arbitrary: fc.nat(150) },
  { weight: 2, arbitrary: fc.integer({ min: 1_000, max: 3_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(65_535, 65_536, 200_000) },
)
const client = fc.nat(CLIENTS - 1)
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      room: fc.option(fc.constantFrom(...ROOMS), { nil: undefined }),
      except: fc.option(client, { nil: undefined, freq: 2 }),
      size,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('ping' as const, 'speak' as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('leave' as const, 'break' as const), client }) },
)

/** One of three kinds: bytes only, ws, ws with compression. */
class Peer {
  readonly room: string
  /** What the server knows it by. */
  origin: unknown
  /** What it must have got, in order. */
  readonly due: string[] = []
  state: 'open' | 'leaving' | 'gone' = 'open'
  readonly #raw: RawClient | undefined
  readonly #client: TestClient | undefined

  constructor(room: string, peer: RawClient | TestClient) {
    this.room = room
    if ('socket' in peer && 'frames' in peer) this.#raw = peer
    else this.#client = peer
  }

  /** All of it at the time of asking; throws when bytes between frames are not where they belong. */
  readonly got: string[] = []

  collect(): void {
    if (this.#client !== undefined) {
      this.got.push(...this.#client.drain().map(String))
      return
    }
    const raw = this.#raw as RawClient
    const data = raw.frames.filter(({ opcode }) => opcode < OPCODES.close)
    for (const { fin, rsv, opcode } of data) assert.deepEqual({ fin, rsv, opcode }, { fin: true, rsv: 0, opcode: 1 })
    this.got.splice(0, this.got.length, ...data.map(({ payload }) => payload.toString()))
    const close = raw.frames.findIndex(({ opcode }) => opcode === OPCODES.close)
    assert.ok(close === -1 || close === raw.frames.length - 1, 'nothing follows a close frame')
  }

  send(text: string): void {
    this.#raw?.send(text)
    this.#client?.socket.send(text)
  }

  ping(): void {
    this.#raw?.send('ping', { opcode: OPCODES.ping })
    this.#client?.socket.ping()
  }

  leave(): void {
    this.#raw?.socket.destroy()
    this.#client?.socket.close()
  }

  /** Sends what no marshaller decodes; resolves when the server has closed. */
  async provoke(): Promise<void> {
    this.send('{"broken')
    await this.#client?.closed
    const raw = this.#raw
    if (raw === undefined) return
    await until(() => raw.closeCode !== undefined, { message: 'a close frame', interval: 1 })
    raw.socket.destroy()
  }
}

async function join(room: string, kind: number, { host, received }: StartedEndpoint, t: Owner): Promise<Peer> {
  const url = `ws://${host}/rooms/${room}`
  const client = kind === 0 ? connectRaw(url, { t }) : connect(url, { t, perMessageDeflate: kind === 1 })
  const peer = new Peer(room, await client)
  peer.send('"hello"')
  await until(() => received.length > 0, { interval: 1 })
  peer.origin = received.splice(0)[0]?.origin
  return peer
}

async function converse(server: StartedEndpoint, commands: readonly Command[], t: Owner): Promise<void> {
  const peers: Peer[] = []
  for (let index = 0; index < CLIENTS; index++) {
    peers.push(await join(ROOMS[index % ROOMS.length] as string, index % 3, server, t))
  }
  let count = 0
  for (const step of commands) {
    if (step.do === 'turn') {
      await turn()
      continue
    }
    if (step.do === 'send') {
      const { room, except } = step
      const text = JSON.stringify(`${count++} ${'x'.repeat(step.size)}`)
      const exception = except === undefined ? undefined : peers[except]
      const topic = room === undefined ? '*' : `/rooms/${room}`
      server.send(undefined, { payload: Buffer.from(text), topic, origin: exception?.origin })
      for (const peer of peers) {
        if (peer !== exception && (room === undefined || peer.room === room) && peer.state !== 'gone')
          peer.due.push(text)
      }
      continue
    }
    const peer = peers[step.client] as Peer
    if (peer.state !== 'open') continue
    if (step.do === 'ping') peer.ping()
    else if (step.do === 'speak') peer.send('"more"')
    else if (step.do === 'leave') {
      // What is sent meanwhile may still reach it, or not.
      peer.state = 'leaving'
      peer.leave()
    } else {
      // The server closes it: what was sent until now goes before the close frame.
      peer.state = 'gone'
      await peer.provoke()
      peer.collect()
      assertSame(peer.got, peer.due)
    }
  }
  // What comes last to everyone tells that all before it has come: a flush may wait for a while after the one before.
  const last = JSON.stringify(`${count} last`)
  server.send(undefined, { payload: Buffer.from(last), topic: '*' })
  for (const peer of peers) if (peer.state !== 'gone') peer.due.push(last)
  for (const peer of peers) {
    const hasAll = (): boolean => {
      peer.collect()
      return peer.got.length >= peer.due.length
    }
    if (peer.state === 'open') await until(hasAll, { interval: 1, message: 'the last message' })
    peer.collect()
    assertSame(peer.got, peer.state === 'open' ? peer.due : peer.due.slice(0, peer.got.length))
  }
}

/** Fails with the messages' numbers and lengths: their text is long. */
function assertSame(got: readonly string[], due: readonly string[]): void {
  const short = (texts: readonly string[]): string[] =>
    texts.map((text) => `${Number.parseInt(text.slice(1), 10)}: ${text.length}`)
  assert.deepEqual(short(got), short(due))
  assert.ok(got.every((text, index) => text === due[index]))
}

test('every client gets what the model says, whatever the others do', { timeout: 120_000 }, async () => {
  const options = {
    ...DEFAULTS,
    path: '/rooms/:room',
    topic: '{topic}',
    'permessage-deflate': true,
    'ping-interval': 20,
    limit: 64 * 1024 * 1024,
  }
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 80, size: 'max' }), async (commands) => {
      const ends: (() => void | Promise<void>)[] = []
      const t = { after: (end: () => void | Promise<void>) => void ends.push(end) }
      try {
        const server = await startEndpoint(endpointWebSocket, options, { t })
        await converse(server, commands, t)
        const { slowClosed, pingTimeouts } = server.endpoint.counters
        assert.deepEqual({ slowClosed, pingTimeouts }, { slowClosed: 0, pingTimeouts: 0 })
      } finally {
        for (const end of ends.toReversed()) await end()
      }
    }),
    { numRuns: 60 },
  )
})
