/** The world on the other side of an endpoint of MQTT: other clients of the broker, which come back by themselves. */
import { closeSync, openSync, readSync } from 'node:fs'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { Emitted, Peer, Received } from '../../lib/testing/index.ts'
import type { MosquittoServer } from '../support/mosquitto.ts'
import type { Server } from '../support/server.ts'
import { until, within } from '../support/wait.ts'

/** What a message of a peer has beside its payload. */
export interface Extra {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface MqttReceived extends Received {
  readonly key: string | undefined
  readonly id: string | undefined
}

export interface MqttPeer extends Peer {
  /** Resolves when the broker has confirmed it; rejects within three seconds where it does not. */
  emit(payload: Buffer, extra?: Extra): Promise<Emitted>
  received(): readonly MqttReceived[]
  close(): Promise<void>
}

export interface MqttPeerOptions {
  /** Of the endpoint, beside those that say where it is and which topics it has. */
  readonly options?: object
  /** How the broker goes away: SIGKILL if left out. Without a disk it forgets what it has by both. */
  readonly outage?: 'kill' | 'stop'
}

const EMIT_TIMEOUT = 3_000
let peers = 0

/** A client of MQTT 5 that reconnects within a few milliseconds, for as long as it takes. */
export function reconnecting(server: Server, options: IClientOptions = {}): Promise<MqttClient> {
  return connectAsync(server.url, { protocolVersion: 5, reconnectPeriod: 20, connectTimeout: 1_000, ...options })
}

/** What of a packet's properties is in every client's reach: the last value of each name. */
export function headersOf(properties: { userProperties?: object; contentType?: string } = {}): Record<string, string> {
  const { userProperties = {}, contentType } = properties
  const headers: Record<string, string> = contentType === undefined ? {} : { 'content-type': contentType }
  for (const [name, value] of Object.entries(userProperties)) {
    headers[name] = String(Array.isArray(value) ? value.at(-1) : value)
  }
  return headers
}

export async function createMqttPeer(
  server: Server,
  { options = {}, outage = 'kill' }: MqttPeerOptions = {},
): Promise<MqttPeer> {
  const number = `${process.pid}-${peers++}`
  const [incoming, outgoing, clientId] = [`in/${number}`, `out/${number}`, `subject-${number}`]
  const properties = { sessionExpiryInterval: 600 }
  const isV5 = !('version' in options && options.version === '3.1.1')
  const version = isV5 ? ({ protocolVersion: 5, properties } as const) : ({ protocolVersion: 4 } as const)
  const sender = await reconnecting(server, { protocolVersion: version.protocolVersion })
  const receiver = await reconnecting(server, { clean: false, clientId: `receiver-${number}`, ...version })
  const received: MqttReceived[] = []
  receiver.on('message', (topic, payload, packet) => {
    const headers = headersOf(packet.properties)
    received.push({ payload, topic, headers, key: headers['araldo-key'], id: headers['araldo-id'] })
  })
  await receiver.subscribeAsync(outgoing, { qos: 1 })
  let emitted = 0
  const ledger = 'logFile' in server ? new PacketLedger(server as MosquittoServer, clientId) : undefined
  return {
    options: {
      url: server.url,
      subscribe: incoming,
      topic: '{topic}',
      'client-id': clientId,
      keepalive: '1s',
      ...options,
    },
    topic: outgoing,
    emit: async (payload, { key, headers = {} } = {}) => {
      if (!sender.connected) throw new Error('the broker is away')
      const userProperties = { ...headers, ...(key === undefined ? {} : { 'araldo-key': key }) }
      const more = !isV5 || Object.keys(userProperties).length === 0 ? {} : { properties: { userProperties } }
      const confirmed = sender.publishAsync(incoming, payload, { qos: 1, ...more })
      await within(confirmed, { timeout: EMIT_TIMEOUT, message: 'the broker to confirm what was published' })
      emitted++
      return { topic: incoming, ...(isV5 ? { headers, ...(key === undefined ? {} : { key }) } : {}) }
    },
    received: () => received,
    ...(ledger === undefined ? {} : { pending: () => ledger.pending(emitted) }),
    outage: {
      stop: async () => void (await server[outage]()),
      start: async () => {
        await server.start()
        await until(() => sender.connected && receiver.connected)
      },
      freeze: () => server.pause(),
      thaw: () => server.resume(),
    },
    close: async () => {
      await Promise.all([sender.endAsync(true), receiver.endAsync(true)])
      if (!server.process.running) await server.start()
    },
  }
}

/** What the broker has sent to one client, and not got an acknowledgement of: read from its log, which has each packet. */
class PacketLedger {
  readonly #file: string | undefined
  readonly #clientId: string
  readonly #open = new Set<string>()
  #sent = 0
  #offset = 0
  #rest = ''

  constructor({ logFile }: MosquittoServer, clientId: string) {
    this.#file = logFile
    this.#clientId = clientId
  }

  /** @param emitted how many there were in all: the others wait in the broker. */
  pending(emitted: number): number {
    for (const line of this.#lines()) this.#note(line)
    return emitted - this.#sent + this.#open.size
  }

  #note(line: string): void {
    const [, again, qos, sent] = /Sending PUBLISH to (?:\S+) \(d([01]), q([012]), r[01], m(\d+)/.exec(line) ?? []
    const [, done] = /Received (?:PUBACK|PUBREC) from (?:\S+) \(Mid: (\d+)/.exec(line) ?? []
    if (sent !== undefined) {
      if (again === '0') this.#sent++
      if (qos !== '0') this.#open.add(sent)
    } else if (done !== undefined) this.#open.delete(done)
  }

  *#lines(): Iterable<string> {
    if (this.#file === undefined) throw new Error('the broker writes no log: start it with one')
    const buffer = Buffer.alloc(1024 * 1024)
    const file = openSync(this.#file, 'r')
    try {
      for (;;) {
        const length = readSync(file, buffer, 0, buffer.length, this.#offset)
        if (length === 0) return
        this.#offset += length
        const lines = (this.#rest + buffer.toString('latin1', 0, length)).split('\n')
        this.#rest = lines.pop() ?? ''
        for (const line of lines) if (line.includes(` ${this.#clientId} (`)) yield line
      }
    } finally {
      closeSync(file)
    }
  }
}
