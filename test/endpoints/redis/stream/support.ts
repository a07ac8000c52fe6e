/** An endpoint of Redis Streams without a relay around it: the test is the lanes. */
import { endpointRedisStream, type StreamOptions } from '../../../../lib/endpoints/redis/stream/index.ts'
import { type AloneOptions, startAlone, type Started } from '../../../support/alone.ts'
import type { Owner } from '../../../support/process.ts'
import type { RedisServer } from '../../../support/redis.ts'

const DEFAULTS = {
  group: 'araldo',
  start: '0',
  'claim-after': 60_000,
  batch: 256,
  'payload-field': 'payload',
  'ping-interval': 10_000,
}

/** Resolves when the endpoint is up. */
export function startStream(t: Owner, options: Partial<StreamOptions>, more: AloneOptions = {}): Promise<Started> {
  return startAlone(t, endpointRedisStream, { ...DEFAULTS, ...options }, more)
}

/** How many entries of a group are pending. */
export async function pendingOf(redis: RedisServer, stream: string, group = 'araldo'): Promise<number> {
  return Number((await redis.cli('XPENDING', stream, group)).split('\n')[0])
}

/** How often the server was sent a command. */
export async function callsOf(redis: RedisServer, command: string): Promise<number> {
  const [, calls] = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.cli('INFO', 'commandstats')) ?? []
  return Number(calls ?? 0)
}
