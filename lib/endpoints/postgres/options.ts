/** Floor 3. The parameters of an endpoint of PostgreSQL. Durations in milliseconds, sizes in bytes. */
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { type TlsOptions, tlsSchema } from '../common/tls.ts'

/** Which server, and how to reach it. */
export interface ServerOptions {
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string
  readonly database?: string
  readonly tls?: boolean | TlsOptions
  readonly 'application-name': string
  readonly 'statement-timeout': number
  readonly 'ping-interval': number
}

/** Names of a table's columns; `false` for what the table has no column for. */
export interface ColumnOptions {
  readonly id: string
  readonly payload: string
  readonly key: string | false
  readonly topic: string | false
  readonly headers: string | false
  readonly 'message-id': string | false
  readonly time: string | false
  readonly settled: string
}

export interface PostgresOptions extends ServerOptions {
  readonly channel?: string
  readonly channels?: readonly string[]
  readonly topic?: string
  readonly outbox?: string
  readonly 'on-settled': 'delete' | 'mark'
  readonly 'wake-channel'?: string
  readonly 'poll-interval': number
  readonly batch: number
  readonly 'max-pending'?: { readonly messages?: number; readonly bytes?: number }
  readonly table?: string
  readonly deduplicate: boolean
  readonly columns?: Partial<ColumnOptions>
  readonly create: boolean
}

export const DEFAULT_COLUMNS: ColumnOptions = {
  id: 'id',
  payload: 'payload',
  key: 'key',
  topic: 'topic',
  headers: 'headers',
  'message-id': 'message_id',
  time: 'created_at',
  settled: 'settled_at',
}

export const DEFAULT_MAX_PENDING = { messages: 512, bytes: 64 * 1024 * 1024 }

/** Names are at most 63 bytes, which a schema cannot count: checks.ts does. Of a quoted, qualified one, more. */
const name = (description: string): JsonSchema => ({ type: 'string', minLength: 1, maxLength: 63, description })
const table = (description: string): JsonSchema => ({ type: 'string', minLength: 1, maxLength: 260, description })

const column = (description: string): JsonSchema => ({ type: 'string', minLength: 1, maxLength: 63, description })
const optionalColumn = (description: string): JsonSchema => ({
  anyOf: [{ const: false }, { type: 'string', minLength: 1, maxLength: 63 }],
  description,
})

/** The columns that an endpoint uses. */
export function columnsOf({ columns }: Pick<PostgresOptions, 'columns'>): ColumnOptions {
  return { ...DEFAULT_COLUMNS, ...columns }
}

const serverProperties = {
  url: {
    type: 'string',
    minLength: 1,
    description: '`postgres://user:password@host:5432/database`; `?sslmode=verify-full` for TLS.',
  },
  host: { type: 'string', minLength: 1, description: 'In place of `url`; 127.0.0.1 if there is neither.' },
  port: { type: 'integer', minimum: 1, maximum: 65_535, description: '5432 if left out.' },
  username: { type: 'string', minLength: 1, description: 'The role to connect as.' },
  password: { type: 'string', minLength: 1, description: 'Best as `${PGPASSWORD}` or `${file:…}`.' },
  database: { type: 'string', minLength: 1, description: "The database; the role's name if left out." },
  tls: tlsSchema,
  'application-name': {
    type: 'string',
    minLength: 1,
    maxLength: 63,
    default: 'araldo',
    description: 'What `pg_stat_activity` calls the connections.',
  },
  'statement-timeout': duration({
    minimum: 100,
    default: '10s',
    description: 'The server ends a statement that takes longer; 4 s later without an answer, it counts as gone.',
  }),
  'ping-interval': duration({
    minimum: 10,
    default: '10s',
    description:
      'How often an idle connection asks the server whether it is there; 4 s without an answer, and it is not.',
  }),
} satisfies Record<keyof ServerOptions, JsonSchema>

const columns: JsonSchema = {
  type: 'object',
  description: 'What the columns of `outbox` and `table` are called; `false` for one that is not there.',
  properties: {
    id: column('`id` if left out. Unique, and what rows are read in the order of: a bigserial, a UUID of version 7.'),
    payload: column('`payload` if left out. bytea for bytes; text, json or jsonb for text.'),
    key: optionalColumn('`key` if left out. What order is kept by.'),
    topic: optionalColumn('`topic` if left out.'),
    headers: optionalColumn('`headers` if left out. jsonb, json or text: a JSON object of texts.'),
    'message-id': optionalColumn("`message_id` if left out. The message's own id, the same at every relay."),
    time: optionalColumn('`created_at` if left out. timestamptz, timestamp (UTC), or milliseconds since 1970.'),
    settled: column('`settled_at` if left out. timestamptz: set by `on-settled: mark`, null before.'),
  },
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    ...serverProperties,
    channel: name('The channel to LISTEN to, and to NOTIFY where there is neither `topic` nor `table`.'),
    channels: {
      type: 'array',
      minItems: 1,
      maxItems: 1_000,
      uniqueItems: true,
      items: { type: 'string', minLength: 1, maxLength: 63 },
      description: 'The channels to LISTEN to.',
    },
    topic: {
      type: 'string',
      minLength: 1,
      maxLength: 1_024,
      description: 'The channel to NOTIFY, as in `orders.{key}`; `{topic}` is the topic of the message.',
    },
    outbox: table('The table to read rows from: `outbox`, `sales.outbox`, `"Sales"."outbox"`.'),
    'on-settled': {
      enum: ['delete', 'mark'],
      default: 'delete',
      description: 'What becomes of a row of `outbox` that is done: gone, or its column `settled` is set.',
    },
    'wake-channel': name(
      'The channel on which NOTIFY says that there are new rows in `outbox`; as the table is called in `outbox`, if left out.',
    ),
    'poll-interval': duration({
      minimum: 10,
      default: '5s',
      description: 'How often `outbox` is looked at when nobody has said that there is anything.',
    }),
    batch: { type: 'integer', minimum: 1, maximum: 10_000, default: 256, description: 'Rows read at one time.' },
    'max-pending': {
      type: 'object',
      description: 'How many rows of `outbox` are in the hands of the relay and not settled, at most.',
      properties: {
        messages: { type: 'integer', minimum: 1, maximum: 100_000, description: 'Rows; 512 if left out.' },
        bytes: size({ minimum: 1, description: 'Bytes of these; 64MiB if left out. The last read may go past it.' }),
      },
    },
    table: table('The table to insert rows into.'),
    deduplicate: {
      type: 'boolean',
      default: false,
      description: 'A row whose `message-id` is in `table` already is left out: needs a unique index on that column.',
    },
    columns,
    create: {
      type: 'boolean',
      default: false,
      description: 'Whether `outbox` and `table` are made where they are missing, with index and trigger.',
    },
  },
}
