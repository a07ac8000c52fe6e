/** What tests of the core build on: an endpoint without a protocol, marshallers that count, a log that listens. */
import { Writable } from 'node:stream'
import fastify, { type FastifyBaseLogger } from 'fastify'
import { Endpoint, type EndpointContext } from '../../lib/endpoint.ts'
import { defaultDelivery, type DeliveryConfig } from '../../lib/delivery/guarantee.ts'
import type { Marshaller, Message, MessageInit } from '../../lib/message.ts'
import type { Capabilities, Settle, SourceCapabilities } from '../../lib/types.ts'

/** JSON that counts its work; its format is its own, so that two of different formats must encode. */
export interface CountingMarshaller extends Marshaller {
  decodes: number
  encodes: number
}

export function counting(format = 'json'): CountingMarshaller {
  return {
    format,
    contentType: 'application/json',
    binary: false,
    decodes: 0,
    encodes: 0,
    decode(payload) {
      this.decodes++
      return JSON.parse(payload.toString('utf8')) as unknown
    },
    encode(body) {
      this.encodes++
      const text = JSON.stringify(body)
      if (text === undefined) throw new TypeError('JSON has no such value')
      return Buffer.from(text)
    },
  }
}

/** A logger whose lines can be read. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

export function recordingLog(): { log: FastifyBaseLogger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString('utf8').split('\n')) if (line !== '') lines.push(JSON.parse(line) as LogLine)
      done()
    },
  })
  return { log: fastify({ logger: { level: 'debug', stream } }).log, lines }
}

export const silentLog: FastifyBaseLogger = fastify({ logger: { level: 'silent' } }).log

const SOURCE = { ack: false, pause: false, replay: false, headers: true, topics: true }
const TARGET = { confirm: false, headers: true, topics: true, echo: false }

export interface ContextChange {
  readonly marshaller?: Marshaller
  readonly log?: FastifyBaseLogger
  readonly confirm?: boolean
  readonly pipelined?: boolean
  readonly source?: Partial<SourceCapabilities>
}

/** How a lane between two test endpoints delivers: tried once, if the test says nothing else. */
export function deliveryOf(change: Partial<DeliveryConfig> = {}): DeliveryConfig {
  return { ...defaultDelivery(SOURCE, TARGET), retry: { attempts: 1, minDelay: 100, maxDelay: 1_000 }, ...change }
}

export function contextOf(name: string, change: ContextChange = {}): EndpointContext {
  const { marshaller, log, confirm = false, pipelined = false, source } = change
  const target = { ...TARGET, confirm, pipelined }
  const capabilities: Capabilities = { source: { ...SOURCE, ...source }, target }
  return {
    name,
    type: 'endpoint-test',
    options: {},
    capabilities,
    marshaller: marshaller ?? counting(),
    log: log ?? silentLog,
    hooks: {},
    directory: process.cwd(),
    shared: (_key, create) => create(),
    attach: () => {},
  }
}

/** An endpoint whose every move the test makes. Up as soon as it is started, if the test says nothing else. */
export class TestEndpoint extends Endpoint {
  readonly sent: Message[] = []
  /** What `send` does, after `sent` has it. */
  onSend: ((message: Message, settle: Settle | undefined) => unknown) | undefined
  onConnect: ((signal: AbortSignal) => void | Promise<void>) | undefined
  onDisconnect: (() => void | Promise<void>) | undefined
  onQuiesce: (() => void | Promise<void>) | undefined
  /** What the relay asked for: `suspend`, `resume`, … */
  readonly asked: string[] = []

  protected override connect(signal: AbortSignal): void | Promise<void> {
    return this.onConnect?.(signal)
  }

  protected override disconnect(): void | Promise<void> {
    return this.onDisconnect?.()
  }

  protected override quiesce(): void | Promise<void> {
    return this.onQuiesce?.()
  }

  protected override suspend(): void {
    this.asked.push('suspend')
  }

  protected override resume(): void {
    this.asked.push('resume')
  }

  override send(message: Message, settle?: Settle): void {
    this.sent.push(message)
    return this.onSend?.(message, settle) as void
  }

  /** A message comes in. */
  feed(init: Omit<MessageInit, 'source' | 'marshaller'>, settle?: Settle): Message {
    const message = this.message(init)
    this.receive(message, settle)
    return message
  }

  /** The peer is full, or is not any more. */
  saturate(isSaturated = true): void {
    this.saturated(isSaturated)
  }

  /** The link breaks. */
  break(reason = 'the link broke'): void {
    this.lost(new Error(reason))
  }

  get routed(): boolean {
    return this.hasRoute
  }
}
