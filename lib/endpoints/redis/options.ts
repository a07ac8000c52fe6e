/** Floor 3. The parameters that say which server an endpoint of Redis is at. Durations in milliseconds. */
import { duration } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema as tls } from '../common/tls.ts'

export interface ClusterOptions {
  /** `host:port` of some nodes; the others are found through them. */
  readonly nodes: readonly string[]
  /** From the address that nodes announce to the one that they are reached by, both `host:port`. */
  readonly 'nat-map'?: Readonly<Record<string, string>>
  readonly 'dns-lookup'?: boolean
  readonly 'use-srv-records'?: boolean
  readonly 'slots-refresh-timeout'?: number
}

export interface SentinelOptions {
  readonly name: string
  /** `host:port` of some sentinels; the others are found through them. */
  readonly nodes: readonly string[]
  readonly username?: string
  readonly password?: string
  readonly tls?: boolean | TlsOptions
  readonly 'nat-map'?: Readonly<Record<string, string>>
  readonly 'failover-detector'?: boolean
}

/** Which server, and how to reach it. */
export interface ServerOptions {
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly tls?: boolean | TlsOptions
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly connection?: string
  readonly cluster?: ClusterOptions
  readonly sentinel?: SentinelOptions
  readonly 'ping-interval': number
}

/** A channel's name, or a stream's, is no longer (characters). Redis itself has no bound but that of its memory. */
export const MAX_NAME = 1024

// eslint-disable-next-line no-control-regex
const LINE = /^[^\r\n\u0000]+$/.source

export const name = (description: string): JsonSchema => ({
  type: 'string',
  pattern: LINE,
  maxLength: MAX_NAME,
  description,
})

export const names = (description: string): JsonSchema => ({
  type: 'array',
  minItems: 1,
  maxItems: 10_000,
  uniqueItems: true,
  items: { type: 'string', pattern: LINE, maxLength: MAX_NAME },
  description,
})

const addresses = (description: string): JsonSchema => ({
  type: 'array',
  minItems: 1,
  items: { type: 'string', minLength: 1 },
  description,
})

const natMap: JsonSchema = {
  type: 'object',
  additionalProperties: { type: 'string', minLength: 1 },
  description: 'From the `host:port` that a server announces to the `host:port` that it is reached by.',
}

const cluster: JsonSchema = {
  type: 'object',
  required: ['nodes'],
  properties: {
    nodes: addresses('`host:port` of some nodes; the others are found through them.'),
    'nat-map': natMap,
    'dns-lookup': {
      type: 'boolean',
      default: true,
      description: 'Whether names are resolved before connecting; false where TLS certificates are for the names.',
    },
    'use-srv-records': { type: 'boolean', default: false, description: "The nodes' names are those of SRV records." },
    'slots-refresh-timeout': duration({
      minimum: 1,
      default: '1s',
      description: 'How long one node may take to describe the cluster before the next is asked.',
    }),
  },
  description: 'In place of `url`: a Redis Cluster.',
}

const sentinel: JsonSchema = {
  type: 'object',
  required: ['name', 'nodes'],
  properties: {
    name: { type: 'string', minLength: 1, description: 'What the sentinels call the master.' },
    nodes: addresses('`host:port` of some sentinels; the others are found through them.'),
    username: { type: 'string', minLength: 1, description: "The sentinels' own." },
    password: { type: 'string', minLength: 1, description: "The sentinels' own." },
    tls: { ...tls, description: 'For the connections to the sentinels: true, or the certificates.' },
    'nat-map': natMap,
    'failover-detector': {
      type: 'boolean',
      default: false,
      description:
        'Whether the sentinels are listened to: a failover is noticed even if the old master stays reachable.',
    },
  },
  description: 'In place of `url`: a master that sentinels watch.',
}

/** The properties of a schema whose options are {@link ServerOptions}. */
export const serverProperties = {
  url: { type: 'string', minLength: 1, description: '`redis://user:password@host:6379/0`; `rediss://` for TLS.' },
  host: { type: 'string', minLength: 1, description: 'In place of `url`; 127.0.0.1 if there is neither.' },
  port: { type: 'integer', minimum: 1, maximum: 65_535, description: '6379 if left out.' },
  tls,
  username: { type: 'string', minLength: 1, description: 'A user of the ACL; the default user if left out.' },
  password: { type: 'string', minLength: 1, description: 'Best as `${REDIS_PASSWORD}` or `${file:…}`.' },
  db: { type: 'integer', minimum: 0, description: 'The number of the database; 0 if left out.' },
  connection: {
    type: 'string',
    minLength: 1,
    description:
      "In place of a server: a connection of the application's @fastify/redis, by its namespace; `default` is " +
      'fastify.redis itself.',
  },
  cluster,
  sentinel,
  'ping-interval': duration({
    minimum: 10,
    default: '10s',
    description: 'How often the server is asked whether it is there; 4 s without an answer, and it is not.',
  }),
} satisfies Record<keyof ServerOptions, JsonSchema>
