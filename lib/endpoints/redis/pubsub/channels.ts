/** Floor 3. Which channels an endpoint subscribes to and publishes to, and who hears whom by them. */
import { fixedEnds, mayGive } from '../../common/template.ts'
import { isSameServer } from '../place.ts'
import { literalPrefix, matches } from './glob.ts'
import type { RedisOptions } from './options.ts'

/** The channels and patterns that an endpoint subscribes to. */
export function subscriptionsOf(options: RedisOptions): { channels: readonly string[]; patterns: readonly string[] } {
  const { channel, channels = channel === undefined ? [] : [channel] } = options
  const { pattern, patterns = pattern === undefined ? [] : [pattern] } = options
  return { channels, patterns }
}

/** Whether what an endpoint publishes may come in at another. PUBLISH does not reach SSUBSCRIBE, nor SPUBLISH SUBSCRIBE. */
export function hears(options: RedisOptions, sender: RedisOptions): boolean {
  return options.sharded === sender.sharded && isSameServer(options, sender) && mayHear(options, sender)
}

/**
 * Whether one that subscribes as `options` say may hear one of the same server that publishes as `sender` says. Where
 * data chooses the channel, what it begins and ends with decides.
 */
export function mayHear(options: RedisOptions, sender: RedisOptions): boolean {
  const { channels, patterns } = subscriptionsOf(options)
  const { topic, channel } = sender
  const ends = topic === undefined ? undefined : fixedEnds(topic)
  if (topic === undefined || ends === undefined) {
    const published = topic ?? channel
    if (published === undefined) return false
    return channels.includes(published) || patterns.some((pattern) => matches(pattern, published))
  }
  if (channels.some((each) => mayGive(topic, each))) return true
  const { begin } = ends
  return patterns.map(literalPrefix).some((prefix) => prefix.startsWith(begin) || begin.startsWith(prefix))
}
