/** Floor 3. The parameters of `endpoint-websocket-client`. */
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema } from '../common/tls.ts'

/** What is said after each connect: text as it is, anything else as JSON. */
export type Hello = string | object

/** Sizes in bytes, durations in milliseconds. */
export interface WebSocketClientOptions {
  readonly url: string
  readonly subprotocols?: readonly string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly hello?: Hello | readonly Hello[]
  readonly tls?: boolean | TlsOptions
  readonly acknowledge: boolean
  readonly session?: string
  readonly 'max-in-flight': number
  readonly 'max-payload': number
  readonly limit: number
  readonly 'ping-interval': number
  readonly 'ping-timeout': number
}

export const schema: JsonSchema = {
  type: 'object',
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      minLength: 1,
      description:
        'The server: `ws://host:port/path`, `wss://` for TLS. `user:password@` is sent as basic authentication.',
    },
    subprotocols: {
      type: 'array',
      minItems: 1,
      maxItems: 20,
      uniqueItems: true,
      items: { type: 'string', pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", maxLength: 256 },
      description: 'What the client offers to speak; the server has to choose one.',
    },
    headers: {
      type: 'object',
      maxProperties: 100,
      additionalProperties: { type: 'string', maxLength: 8192 },
      description: 'Of the handshake: `Authorization: "Bearer ${TOKEN}"`.',
    },
    hello: {
      anyOf: [
        { type: 'string' },
        { type: 'object', additionalProperties: true },
        {
          type: 'array',
          maxItems: 100,
          items: { anyOf: [{ type: 'string' }, { type: 'object', additionalProperties: true }] },
        },
      ],
      description: 'Sent after each connect, before anything else: text as it is, a map as JSON, or a list of these.',
    },
    tls: { ...tlsSchema, description: 'For `wss://`: the certificates.' },
    acknowledge: {
      type: 'boolean',
      default: false,
      description:
        'The server is another araldo: `araldo.v1` is spoken, and each message is delivered when the server has answered ' +
        'that it is safe.',
    },
    session: {
      type: 'string',
      pattern: '^[\\x21-\\x7e]{16,128}$',
      description:
        'With `acknowledge`: a secret that stays the same, so that a message that is sent again after a restart travels ' +
        'with the same id. Made up at each start if left out.',
    },
    'max-in-flight': {
      type: 'integer',
      minimum: 1,
      maximum: 100_000,
      default: 256,
      description:
        "With `acknowledge`: messages without an answer, at most. The server's own bound is 256 if it says nothing.",
    },
    'max-payload': size({
      minimum: 1,
      maximum: 64 * 1024 * 1024,
      default: '1MiB',
      description: 'A server that sends a larger message is left, with code 1009.',
    }),
    limit: size({
      minimum: 4 * 1024,
      default: '1MiB',
      description: 'While more bytes than this wait to be sent, lanes keep their messages.',
    }),
    'ping-interval': duration({
      minimum: 10,
      default: '25s',
      description: 'A server that was silent for so long is sent a ping.',
    }),
    'ping-timeout': duration({
      minimum: 10,
      default: '10s',
      description: 'A server that is still silent so long after is left, and connected to anew.',
    }),
  },
}
