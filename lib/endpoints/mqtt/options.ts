/** Floor 3. The parameters of `endpoint-mqtt`. Durations in milliseconds, sizes in bytes. */
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema as tls } from '../common/tls.ts'

export type Qos = 0 | 1 | 2

export interface MqttOptions {
  readonly url: string
  readonly username?: string
  readonly password?: string
  readonly tls?: boolean | TlsOptions
  readonly version: 5 | '3.1.1'
  /** The host's name and the endpoint's, if left out. */
  readonly 'client-id'?: string
  readonly keepalive: number
  readonly qos: Qos
  readonly 'max-packet-size': number
  readonly subscribe?: string | readonly string[]
  readonly share?: string
  readonly 'session-expiry'?: number
  readonly 'receive-maximum'?: number
  readonly 'retain-handling'?: 'send' | 'new' | 'never'
  readonly echo: boolean
  readonly topic?: string
  readonly retain: boolean
  readonly 'confirm-timeout': number
  readonly 'message-expiry'?: number
  readonly 'allow-reserved': boolean
}

/** Milliseconds. */
export const DEFAULT_SESSION_EXPIRY = 24 * 3_600_000
export const DEFAULT_RECEIVE_MAXIMUM = 512
/** Seconds: what a session and a message may be kept for, at most. MQTT 5, section 3.1.2.11.2, has 2^32 - 1 for ever. */
const MAX_EXPIRY = 2 ** 32 - 2
/** The largest packet that MQTT knows (bytes). Source: MQTT 5, section 2.1.4. */
const MAX_PACKET = 268_435_460

const filter: JsonSchema = { type: 'string', minLength: 1, maxLength: 65_535 }

export const schema: JsonSchema = {
  type: 'object',
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      minLength: 1,
      description: '`mqtt://host:1883`, `mqtts://` for TLS, `ws://host/path` or `wss://` for a WebSocket.',
    },
    username: { type: 'string', minLength: 1, description: 'In place of one in the url.' },
    password: { type: 'string', minLength: 1, description: 'Best as `${MQTT_PASSWORD}` or `${file:…}`.' },
    tls,
    version: { enum: [5, '3.1.1'], default: 5, description: 'Of the protocol. 3.1.1 has no headers.' },
    'client-id': {
      type: 'string',
      minLength: 1,
      maxLength: 65_535,
      description:
        "Names the session: unlike any other client's of the broker, and the same after a restart; the host's name and " +
        "the endpoint's, if left out.",
    },
    keepalive: duration({
      minimum: 1_000,
      maximum: 65_535_000,
      default: '10s',
      description:
        'How often the broker is asked whether it is there, in whole seconds; 4 s without an answer, and it is not.',
    }),
    qos: {
      enum: [0, 1, 2],
      default: 1,
      description: 'Of what is subscribed to and of what is published: 0 at most once, 1 and 2 acknowledged.',
    },
    'max-packet-size': size({
      minimum: 1_024,
      maximum: MAX_PACKET,
      default: '16MiB',
      description: 'Larger ones are not sent; a broker of MQTT 5 is told to send no larger ones, and leaves them out.',
    }),
    subscribe: {
      anyOf: [filter, { type: 'array', minItems: 1, maxItems: 1_000, uniqueItems: true, items: filter }],
      description: 'A topic filter, or a list of them: `sensors/+/temperature`, `orders/#`.',
    },
    share: {
      type: 'string',
      minLength: 1,
      maxLength: 1_024,
      description:
        'The group that shares the subscription: each message comes in at one of it (`$share/group/filter`).',
    },
    'session-expiry': duration({
      maximum: MAX_EXPIRY * 1_000,
      description:
        'How long the broker keeps what comes while the relay is away; 1 day if left out, 0 for no session. A broker of ' +
        '3.1.1 decides that itself.',
    }),
    'receive-maximum': {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      description: 'Messages in hand and not acknowledged, at most (MQTT 5); 512 if left out.',
    },
    'retain-handling': {
      enum: ['send', 'new', 'never'],
      description:
        'Whether retained messages come in when it subscribes: each time, when the subscription is new, never (MQTT 5); ' +
        '`new` if left out.',
    },
    echo: {
      type: 'boolean',
      default: false,
      description: 'Whether what it publishes comes in by its own subscription, too (MQTT 5; always in 3.1.1).',
    },
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: 65_535,
      description: 'The topic to publish to, as in `orders/{key}`; `{topic}` is the topic of the message.',
    },
    retain: { type: 'boolean', default: false, description: 'Whether the broker keeps the last of each topic.' },
    'confirm-timeout': duration({
      minimum: 100,
      maximum: 2 ** 31 - 1,
      default: '30s',
      description:
        'A broker that has not confirmed a message of QoS 1 or 2 for so long, twice as long at most, is connected to anew.',
    }),
    'message-expiry': duration({
      minimum: 1_000,
      maximum: MAX_EXPIRY * 1_000,
      description: 'How long the broker keeps a message for those who are away, in whole seconds (MQTT 5).',
    }),
    'allow-reserved': {
      type: 'boolean',
      default: false,
      description: "Whether topics that begin with `$` are published to: they are the broker's own.",
    },
  },
}
