/** Floor 3. The parameters of `endpoint-amqp`. Durations in milliseconds, sizes in bytes. */
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema as tls } from '../common/tls.ts'

/** Which broker, and how to reach it. */
export interface ServerOptions {
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly vhost?: string
  readonly username?: string
  readonly password?: string
  readonly tls?: boolean | TlsOptions
  /** SASL: the user and password, or the client's certificate. */
  readonly mechanism: 'plain' | 'external'
  readonly heartbeat: number
  /** What the broker calls the connections; the endpoint's name, if left out. */
  readonly 'connection-name'?: string
}

/** Values of a field table, as far as brokers give them a meaning. */
export type Arguments = Readonly<Record<string, string | number | boolean>>

export interface BindingOptions {
  readonly exchange: string
  readonly 'routing-key'?: string
  readonly arguments?: Arguments
}

export interface ExchangeOptions {
  readonly name: string
  readonly type: string
  readonly durable?: boolean
  readonly 'auto-delete'?: boolean
  readonly arguments?: Arguments
}

export interface DeclareOptions {
  readonly type?: 'quorum' | 'classic'
  readonly durable?: boolean
  readonly 'auto-delete'?: boolean
  readonly arguments?: Arguments
  readonly bindings?: readonly BindingOptions[]
  readonly exchanges?: readonly ExchangeOptions[]
}

export interface AmqpOptions extends ServerOptions {
  readonly queue?: string
  readonly prefetch: number
  readonly exclusive: boolean
  readonly declare?: boolean | DeclareOptions
  readonly exchange?: string
  readonly topic?: string
  readonly mandatory: boolean
  /** What becomes of a message that no queue is bound for: the lane tries again, or it is refused for good. */
  readonly unroutable: 'retry' | 'reject'
  readonly 'confirm-timeout'?: number
  readonly persistent: boolean
  readonly 'max-message-size': number
}

/** Short strings have a length of one octet. Source: AMQP 0-9-1, 4.2.5.3. */
export const MAX_SHORT = 255

// eslint-disable-next-line no-control-regex
const LINE = /^[^\u0000-\u001f\u007f]+$/.source

const name = (description: string): JsonSchema => ({ type: 'string', pattern: LINE, maxLength: MAX_SHORT, description })

const table = (description: string): JsonSchema => ({
  type: 'object',
  additionalProperties: { type: ['number', 'boolean', 'string'] },
  description,
})

const binding: JsonSchema = {
  type: 'object',
  required: ['exchange'],
  properties: {
    exchange: name('The exchange that the queue is bound to.'),
    'routing-key': {
      type: 'string',
      maxLength: MAX_SHORT,
      description:
        'What a message must have, at a topic exchange with `*` for one word and `#` for any number; empty if left out.',
    },
    arguments: table('For a headers exchange: `x-match`, and the headers.'),
  },
}

const exchange: JsonSchema = {
  type: 'object',
  required: ['name', 'type'],
  properties: {
    name: name('Its name.'),
    type: name('`direct`, `topic`, `fanout`, `headers`, or what a plugin of the broker brings.'),
    durable: { type: 'boolean', description: 'It is there after a restart of the broker; true if left out.' },
    'auto-delete': { type: 'boolean', description: 'It goes with its last binding; false if left out.' },
    arguments: table('`alternate-exchange`, …'),
  },
}

const declare: JsonSchema = {
  anyOf: [
    { type: 'boolean' },
    {
      type: 'object',
      properties: {
        type: { enum: ['quorum', 'classic'], description: 'Of the queue; quorum if left out.' },
        durable: { type: 'boolean', description: 'It is there after a restart of the broker; true if left out.' },
        'auto-delete': { type: 'boolean', description: 'It goes with its last consumer; false if left out.' },
        arguments: table(
          'Of the queue: `x-max-length`, `x-message-ttl`, `x-dead-letter-exchange`, `x-delivery-limit`, …',
        ),
        bindings: { type: 'array', maxItems: 1_000, items: binding, description: 'What leads into the queue.' },
        exchanges: { type: 'array', maxItems: 1_000, items: exchange, description: 'Exchanges, made before.' },
      },
    },
  ],
  description:
    'Makes the queue where there is none, with its bindings, and exchanges; `true` for a quorum queue. What is there already must be the same.',
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    url: { type: 'string', minLength: 1, description: '`amqp://user:password@host:5672/vhost`; `amqps://` for TLS.' },
    host: { type: 'string', minLength: 1, description: 'In place of `url`; 127.0.0.1 if there is neither.' },
    port: { type: 'integer', minimum: 1, maximum: 65_535, description: '5672 if left out; 5671 with TLS.' },
    vhost: { type: 'string', minLength: 1, maxLength: MAX_SHORT, description: 'The virtual host; `/` if left out.' },
    username: { type: 'string', minLength: 1, description: '`guest` if there is no password either.' },
    password: { type: 'string', minLength: 1, description: 'Best as `${AMQP_PASSWORD}` or `${file:…}`.' },
    tls,
    mechanism: {
      enum: ['plain', 'external'],
      default: 'plain',
      description: 'How it logs in: `plain` with user and password, `external` with the certificate of `tls`.',
    },
    heartbeat: duration({
      minimum: 1_000,
      maximum: 3_600_000,
      default: '5s',
      description:
        'How often both sides show that they are there, in whole seconds; a broker that is silent for two to three times as long is not.',
    }),
    'connection-name': name(
      "What the broker's lists call the connections; araldo and the endpoint's name if left out.",
    ),
    queue: name('The queue to read.'),
    prefetch: {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      default: 256,
      description: 'How many messages are in the hands of the relay and not acknowledged, at most.',
    },
    exclusive: { type: 'boolean', default: false, description: 'Nobody else may read the queue meanwhile.' },
    declare,
    exchange: {
      type: 'string',
      maxLength: MAX_SHORT,
      description:
        'The exchange to publish to; the default exchange, whose routing keys are names of queues, if left out.',
    },
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: 1_024,
      description: 'The routing key, as in `orders.{key}`; `{topic}` is the topic of the message. Empty if left out.',
    },
    mandatory: {
      type: 'boolean',
      default: true,
      description: 'Whether a message that no queue is bound for counts as not delivered; `false`, and it is lost.',
    },
    unroutable: {
      enum: ['retry', 'reject'],
      default: 'retry',
      description: 'What becomes of such a message: it is tried again until there is a queue, or refused for good.',
    },
    'confirm-timeout': duration({
      minimum: 100,
      maximum: 2 ** 31 - 1,
      description:
        'A broker that has confirmed nothing for so long, twice as long at most, is connected to anew; if left out, it is waited for.',
    }),
    persistent: { type: 'boolean', default: true, description: 'Whether messages outlive a restart of the broker.' },
    'max-message-size': size({
      minimum: 1,
      default: '128MiB',
      description: "Larger payloads are refused; the broker's `max_message_size`: 16MiB in RabbitMQ 4.",
    }),
  },
}
