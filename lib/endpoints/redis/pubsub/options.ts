/** Floor 3. The parameters of `endpoint-redis`. Durations in milliseconds. */
import type { JsonSchema } from '../../../types.ts'
import { name, names, serverProperties, type ServerOptions } from '../options.ts'

export interface RedisOptions extends ServerOptions {
  readonly sharded: boolean
  readonly channel?: string
  readonly channels?: readonly string[]
  readonly pattern?: string
  readonly patterns?: readonly string[]
  readonly topic?: string
}

export const schema: JsonSchema = {
  type: 'object',
  properties: {
    ...serverProperties,
    db: { ...serverProperties.db, description: 'Pub/Sub is the same in all of them.' },
    sharded: {
      type: 'boolean',
      default: false,
      description:
        'Sharded Pub/Sub (SSUBSCRIBE, SPUBLISH; Redis 7 or newer): channels stay on the node that owns them.',
    },
    channel: name('The channel to subscribe to, and to publish to where there is no `topic`.'),
    channels: names('The channels to subscribe to.'),
    pattern: name('Channels to subscribe to with PSUBSCRIBE: `orders.*`.'),
    patterns: names('Several of these.'),
    topic: name('The channel to publish to, as in `orders.{key}`; `{topic}` is the topic of the message.'),
  },
}
