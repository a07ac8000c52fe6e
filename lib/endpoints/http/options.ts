/** Floor 3. The parameters of `endpoint-http`. Sizes in bytes, durations in milliseconds. */
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema } from '../common/tls.ts'

export interface HttpOptions {
  readonly path?: string
  readonly methods: readonly string[]
  readonly acknowledge: 'settled' | 'accepted'
  readonly 'settle-timeout': number
  readonly 'max-payload': number
  readonly 'max-batch': { readonly messages: number; readonly bytes: number }
  readonly 'max-requests': number
  readonly 'max-bytes': number
  readonly url?: string
  readonly method: 'POST' | 'PUT' | 'PATCH'
  readonly headers?: Readonly<Record<string, string>>
  readonly timeout: number
  readonly connections: number
  readonly 'max-retry-after': number
  readonly 'allow-private': boolean | readonly string[]
  readonly tls?: TlsOptions
  readonly 'forward-headers': readonly string[]
  readonly signature?: SignatureOptions
}

export interface SignatureOptions {
  readonly scheme: 'hmac' | 'stripe' | 'standard-webhooks'
  readonly secret: string | readonly string[]
  readonly header?: string
  readonly prefix?: string
  readonly encoding?: 'hex' | 'base64'
  readonly algorithm?: 'sha256' | 'sha384' | 'sha512'
  readonly 'timestamp-header'?: string
  readonly tolerance: number
}

const TOKEN = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"

const signatureSchema: JsonSchema = {
  type: 'object',
  required: ['secret'],
  properties: {
    scheme: {
      enum: ['hmac', 'stripe', 'standard-webhooks'],
      default: 'hmac',
      description:
        'How it is written: `hmac`, one header with the HMAC (GitHub and many others); `stripe`, `t=…,v1=…`; ' +
        '`standard-webhooks`, the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.',
    },
    secret: {
      anyOf: [
        { type: 'string', minLength: 1, maxLength: 1024 },
        { type: 'array', minItems: 1, maxItems: 8, items: { type: 'string', minLength: 1, maxLength: 1024 } },
      ],
      description:
        'The shared secret, best as `${SECRET}`; of several, each is accepted and the first one signs. ' +
        'Of `standard-webhooks`: base64, with or without `whsec_`.',
    },
    header: {
      type: 'string',
      pattern: TOKEN,
      description: 'Where it stands: `x-hub-signature-256`. Left out: `stripe-signature` with that scheme.',
    },
    prefix: {
      type: 'string',
      pattern: '^[!-~]{0,32}$',
      description: 'What stands before it: `sha256=`. Of `hmac` alone.',
    },
    encoding: { enum: ['hex', 'base64'], description: 'How it is written: `hex` if left out. Of `hmac` alone.' },
    algorithm: { enum: ['sha256', 'sha384', 'sha512'], description: 'sha256 if left out. Of `hmac` alone.' },
    'timestamp-header': {
      type: 'string',
      pattern: TOKEN,
      description:
        'A header with the time in seconds since 1970, which is signed, too: as `<time>.<body>`. Of `hmac` alone; without ' +
        'it, what was recorded can be sent again at any time.',
    },
    tolerance: duration({
      minimum: 1_000,
      default: '5m',
      description: 'A request whose time is further from now is refused.',
    }),
  },
  description: 'An HMAC over the body: of requests that come in, checked; of those that go out, made.',
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    path: {
      type: 'string',
      pattern: '^/',
      description: 'As a source: where requests come in, as a Fastify route: `/orders`, `/hooks/:name`.',
    },
    methods: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: { enum: ['POST', 'PUT'] },
      default: ['POST', 'PUT'],
      description: 'Which methods the path takes.',
    },
    acknowledge: {
      enum: ['settled', 'accepted'],
      default: 'settled',
      description:
        'When a request is answered: `settled`, with 200 when every required target has the message; `accepted`, with 202 at ' +
        'once. Only the former lets lanes promise at least once.',
    },
    'settle-timeout': duration({
      minimum: 10,
      default: '30s',
      description: 'A request whose messages are not settled within this time is answered with 504.',
    }),
    'max-payload': size({
      minimum: 1,
      maximum: 64 * 1024 * 1024,
      default: '1MiB',
      description: 'A larger message is answered with 413.',
    }),
    'max-batch': {
      type: 'object',
      default: {},
      properties: {
        messages: {
          type: 'integer',
          minimum: 1,
          maximum: 100_000,
          default: 10_000,
          description: 'Lines of one request of `application/x-ndjson`.',
        },
        bytes: size({ minimum: 1, maximum: 256 * 1024 * 1024, default: '16MiB', description: 'Bytes of one.' }),
      },
      description: 'How much one request may bring; more is answered with 413.',
    },
    'max-requests': {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      default: 1_000,
      description: 'Requests in hand at one time; further ones are answered with 503.',
    },
    'max-bytes': size({
      minimum: 1,
      default: '64MiB',
      description: 'Bytes of the bodies of all requests in hand; what goes beyond is answered with 503.',
    }),
    url: {
      type: 'string',
      minLength: 1,
      maxLength: 8_192,
      description: 'As a target: where messages are sent to, `https://hooks.example.com/orders`.',
    },
    method: { enum: ['POST', 'PUT', 'PATCH'], default: 'POST', description: 'By which method.' },
    headers: {
      type: 'object',
      propertyNames: { pattern: TOKEN },
      additionalProperties: { type: 'string', maxLength: 8_192 },
      description: 'Headers of every request that is sent: `authorization: Bearer ${TOKEN}`.',
    },
    timeout: duration({
      minimum: 10,
      default: '30s',
      description: 'How long a request that is sent may take, from the first try to connect to its answer.',
    }),
    connections: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000,
      default: 16,
      description: 'Connections to the receiver, each with one request at a time.',
    },
    'max-retry-after': duration({
      minimum: 0,
      default: '5m',
      description: "The longest that a receiver's `Retry-After` is heeded.",
    }),
    'allow-private': {
      anyOf: [{ type: 'boolean' }, { type: 'array', minItems: 1, maxItems: 100, items: { type: 'string' } }],
      default: false,
      description:
        'Whether the receiver may be at an address that is not public (loopback, private, link-local …): all of them, or ' +
        'these networks: `[10.1.0.0/16, "fd00::/8"]`.',
    },
    tls: {
      ...(tlsSchema['anyOf'] as readonly JsonSchema[])[1],
      description: 'Certificates for a url of `https:`, where the usual authorities will not do.',
    },
    'forward-headers': {
      type: 'array',
      maxItems: 100,
      items: { type: 'string', pattern: "^([!#$%&'+.^_`|~0-9A-Za-z-]{1,128}\\*?|\\*)$" },
      default: ['traceparent', 'tracestate'],
      description:
        'Which headers of a request become those of its message, and the other way round: names, `x-*` for all that begin so, ' +
        '`*` for all.',
    },
    signature: signatureSchema,
  },
}
