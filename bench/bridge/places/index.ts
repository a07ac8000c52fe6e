/** Everything that a bridge can be built between here. */
import { locate } from '../../../test/support/require.ts'
import { amqp } from './amqp.ts'
import { http } from './http.ts'
import { jetstream } from './jetstream.ts'
import { mqtt } from './mqtt.ts'
import { nats } from './nats.ts'
import type { Kind } from './place.ts'
import { postgres } from './postgres.ts'
import { redisStream } from './redis-stream.ts'
import { redis } from './redis.ts'

export const kinds: readonly Kind[] = [redisStream, jetstream, amqp, mqtt, postgres, http, redis, nats]

/** Why there can be no bridge from or to it here; undefined where there can. */
export function missing({ program }: Kind): string | undefined {
  return program === undefined || locate(program) !== undefined ? undefined : `${program} is not installed`
}
