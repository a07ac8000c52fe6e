/** Floor 3. The parameters of `endpoint-redis-stream`. Durations in milliseconds. */
import { duration, size } from '../../../schema.ts'
import type { JsonSchema } from '../../../types.ts'
import { name, names, serverProperties, type ServerOptions } from '../options.ts'
import { DEFAULT_PAYLOAD_FIELD } from './fields.ts'

export interface StreamOptions extends ServerOptions {
  readonly stream?: string
  readonly streams?: readonly string[]
  readonly group: string
  /** The host's name and the endpoint's, if left out. */
  readonly consumer?: string
  readonly start: string
  readonly 'claim-after': number
  readonly batch: number
  readonly 'max-pending'?: { readonly messages?: number; readonly bytes?: number }
  readonly 'payload-field': string
  readonly topic?: string
  readonly 'max-length'?: number
  readonly 'max-age'?: number
}

export const DEFAULT_MAX_PENDING = { messages: 512, bytes: 64 * 1024 * 1024 }

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    ...serverProperties,
    stream: name('The stream to read, and to write to where there is no `topic`.'),
    streams: { ...names('The streams to read; of a cluster, only those of one hash tag.'), maxItems: 100 },
    group: { ...name('The consumer group; made where there is none.'), default: 'araldo' },
    consumer: name(
      "This relay's name within the group, unlike any other's and the same after a restart; the host's name and the endpoint's, if left out.",
    ),
    start: {
      type: 'string',
      pattern: '^(\\$|\\d+(-\\d+)?)$',
      default: '0',
      description:
        'Where a group begins that there was none of: `0` for the oldest entry, `$` for what comes from now on, or an id.',
    },
    'claim-after': duration({
      minimum: 100,
      default: '60s',
      description: 'What a consumer has held for so long without a word of it is taken over.',
    }),
    batch: { type: 'integer', minimum: 1, maximum: 10_000, default: 256, description: 'Entries read at one time.' },
    'max-pending': {
      type: 'object',
      description: 'How much is in the hands of the relay and not acknowledged, at most.',
      properties: {
        messages: { type: 'integer', minimum: 1, maximum: 1_000_000, description: 'Entries; 512 if left out.' },
        bytes: size({ minimum: 1, description: 'Bytes of these; 64MiB if left out. The last read may go past it.' }),
      },
    },
    'payload-field': {
      ...name('The field that holds the payload; the other fields are headers.'),
      default: DEFAULT_PAYLOAD_FIELD,
    },
    topic: name('The stream to write to, as in `orders.{key}`; `{topic}` is the topic of the message.'),
    'max-length': {
      type: 'integer',
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'What is written leaves about so many entries in the stream, the newest.',
    },
    'max-age': duration({ minimum: 1, description: 'What is written leaves the entries that are about as young.' }),
  },
}
