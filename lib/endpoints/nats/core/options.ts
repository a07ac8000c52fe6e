/** Floor 3. The parameters of `endpoint-nats`. Durations in milliseconds. */
import type { JsonSchema } from '../../../types.ts'
import { serverProperties, type ServerOptions, subject, subjects } from '../options.ts'

export interface NatsOptions extends ServerOptions {
  readonly subject?: string
  readonly subjects?: readonly string[]
  readonly queue?: string
  readonly echo: boolean
  readonly topic?: string
  readonly confirm: 'none' | 'flush'
  readonly headers: boolean
  readonly 'allow-reserved': boolean
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    ...serverProperties,
    subject: subject('The subject to subscribe to; `*` stands for one token, `>` at the end for all that follow.'),
    subjects: subjects('Several of these.'),
    queue: {
      type: 'string',
      pattern: '^[^\\s*>]+$',
      maxLength: 256,
      description: 'A queue group: of all its members, one gets each message.',
    },
    echo: {
      type: 'boolean',
      default: false,
      description: 'Whether what the endpoint itself publishes comes in at it again, where it subscribes to that.',
    },
    topic: subject('The subject to publish to, as in `orders.{key}`; `{topic}` is the topic of the message.'),
    confirm: {
      enum: ['none', 'flush'],
      default: 'none',
      description:
        'What delivered means: `none`, handed to a live connection; `flush`, the server has read it (it answered a PING after it).',
    },
    headers: {
      type: 'boolean',
      default: true,
      description:
        'Whether messages carry headers. `false` for a server before 2.2, and for subscribers that want none.',
    },
    'allow-reserved': {
      type: 'boolean',
      default: false,
      description: 'Whether `topic` may give subjects that are reserved: `$…`, `_INBOX.…`.',
    },
  },
}
