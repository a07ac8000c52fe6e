/** Floor 3. The parameters that say which servers of NATS an endpoint is at. Durations in milliseconds. */
import { duration } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema as tls } from '../common/tls.ts'

/** Which server, and how to be let in. */
export interface ServerOptions {
  readonly url?: string
  readonly servers?: readonly string[]
  readonly username?: string
  readonly password?: string
  readonly token?: string
  readonly creds?: string
  readonly nkey?: string
  readonly jwt?: string
  readonly tls?: boolean | TlsOptions
  readonly 'ping-interval': number
}

/** A subject has no more bytes: the server's own bound is that of a line of the protocol, 4 KiB. */
export const MAX_SUBJECT = 1_024

const text = (description: string): JsonSchema => ({ type: 'string', minLength: 1, maxLength: 16_384, description })

export const subject = (description: string): JsonSchema => ({
  type: 'string',
  minLength: 1,
  maxLength: MAX_SUBJECT,
  description,
})

export const subjects = (description: string): JsonSchema => ({
  type: 'array',
  minItems: 1,
  maxItems: 1_000,
  uniqueItems: true,
  items: { type: 'string', minLength: 1, maxLength: MAX_SUBJECT },
  description,
})

/** The properties of a schema whose options are {@link ServerOptions}. */
export const serverProperties = {
  url: text('`nats://user:password@host:4222`; `tls://` for TLS. nats://127.0.0.1:4222 if left out.'),
  servers: {
    type: 'array',
    minItems: 1,
    maxItems: 100,
    uniqueItems: true,
    items: { type: 'string', minLength: 1, maxLength: 16_384 },
    description: 'In place of `url`: several servers of one cluster, as `host:4222`; tried in turn.',
  },
  username: text('Who to log in as, with `password`.'),
  password: text('Best as `${NATS_PASSWORD}` or `${file:…}`.'),
  token: text('In place of `username`: the token of the server.'),
  creds: text('In place of `username`: a credentials file (`nsc generate creds`), or its text.'),
  nkey: text('In place of `username`: the seed of an NKey, `SU…`, or a file that holds it.'),
  jwt: text('The JWT of a user, or a file that holds it; its seed is `nkey`.'),
  tls,
  'ping-interval': duration({
    minimum: 10,
    maximum: 2 ** 31 - 1,
    default: '10s',
    description: 'How often the server is asked whether it is there; 4 s without an answer, and it is not.',
  }),
} satisfies Record<keyof ServerOptions, JsonSchema>
