/** Floor 3. The parameters of `endpoint-jetstream`. Durations in milliseconds. */
import { duration, size } from '../../../schema.ts'
import type { JsonSchema } from '../../../types.ts'
import { serverProperties, type ServerOptions, subject, subjects } from '../options.ts'

/** How a stream is made that is missing. */
export interface CreateOptions {
  readonly subjects?: readonly string[]
  readonly storage?: 'file' | 'memory'
  readonly replicas?: number
  readonly retention?: 'limits' | 'interest' | 'workqueue'
  readonly 'max-age'?: number
  readonly 'max-bytes'?: number
  readonly 'max-messages'?: number
  readonly 'duplicate-window'?: number
}

export interface JetStreamOptions extends ServerOptions {
  readonly stream?: string
  readonly subject?: string
  readonly subjects?: readonly string[]
  /** `araldo-` and the endpoint's name, if left out. */
  readonly durable?: string
  readonly start: string
  readonly batch: number
  readonly 'max-ack-pending': number
  readonly 'max-pending-bytes': number
  readonly 'ack-wait': number
  readonly create?: boolean | CreateOptions
  readonly topic?: string
  readonly deduplicate: boolean
  readonly 'allow-reserved': boolean
  readonly domain?: string
}

/** Part of subjects of the API, and of folders' names on the server's disk. */
const NAME = '^[^\\s.*>/\\\\]+$'

const count = (description: string, more: object = {}): JsonSchema => ({
  type: 'integer',
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description,
  ...more,
})

const create: JsonSchema = {
  anyOf: [
    { type: 'boolean' },
    {
      type: 'object',
      properties: {
        subjects: subjects(
          'What the stream takes in; `subject` or `subjects`, else `topic` where it is constant, if left out.',
        ),
        storage: { enum: ['file', 'memory'], description: '`file` if left out.' },
        replicas: count('Copies in a cluster; 1 if left out.', { maximum: 5 }),
        retention: {
          enum: ['limits', 'interest', 'workqueue'],
          description: 'What it keeps; `limits` if left out.',
        },
        'max-age': duration({ minimum: 100, description: 'Older messages are removed.' }),
        'max-bytes': size({ minimum: 1, description: 'The oldest messages beyond are removed.' }),
        'max-messages': count('The oldest messages beyond are removed.'),
        'duplicate-window': duration({
          minimum: 100,
          description: 'How long the server remembers ids, to drop a message that comes again; 2m if left out.',
        }),
      },
    },
  ],
  description: 'Whether a stream and a consumer that are missing are made; or how the stream is.',
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    ...serverProperties,
    stream: { type: 'string', pattern: NAME, maxLength: 255, description: 'The stream to read.' },
    subject: subject('Which of its subjects; all of them if left out.'),
    subjects: subjects('Several of these; nats-server 2.10 or newer.'),
    durable: {
      type: 'string',
      pattern: NAME,
      maxLength: 255,
      description: "The consumer's name; `araldo-<name of the endpoint>`, with = for a dot, if left out.",
    },
    start: {
      type: 'string',
      pattern: '^(all|new|last|[1-9]\\d{0,15}|\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?Z)$',
      default: 'all',
      description:
        'Where a consumer begins that there was none of: `all`, `new`, `last`, a sequence, or a time, `2026-01-31T12:00:00Z`.',
    },
    batch: {
      type: 'integer',
      minimum: 1,
      maximum: 10_000,
      default: 256,
      description: 'Messages asked for at one time.',
    },
    'max-ack-pending': {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      default: 512,
      description: 'How many messages are in the hands of the relay and not acknowledged, at most.',
    },
    'max-pending-bytes': size({
      minimum: 1,
      default: '64MiB',
      description: 'Bytes of these, at most; what was asked for last may go past it.',
    }),
    'ack-wait': duration({
      minimum: 1_000,
      maximum: 2 ** 31 - 1,
      default: '30s',
      description:
        'What the server has not heard of for so long it gives out again; a relay that lives tells it in time.',
    }),
    create,
    topic: subject('The subject to publish to, as in `orders.{key}`; `{topic}` is the topic of the message.'),
    deduplicate: {
      type: 'boolean',
      default: true,
      description: 'Whether a message that is sent again is dropped by the server, within its `duplicate_window`.',
    },
    'allow-reserved': {
      type: 'boolean',
      default: false,
      description: 'Whether `topic` may give subjects that are reserved: `$…`, `_INBOX.…`.',
    },
    domain: { type: 'string', pattern: NAME, maxLength: 255, description: 'The JetStream domain, behind a leaf node.' },
  },
}
