/** Floor 3. Which channels an endpoint subscribes to and publishes to, and who hears whom by them. */
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
  if (topic === undefined || !/[{}]/.test(topic)) {
    const published = topic ?? channel
    if (published === undefined) return false
    return channels.includes(published) || patterns.some((pattern) => matches(pattern, published))
  }
  const begin = topic.slice(0, topic.search(/[{}]/))
  const end = topic.slice(Math.max(topic.lastIndexOf('{'), topic.lastIndexOf('}')) + 1)
  const shortest = begin.length + end.length
  if (channels.some((each) => each.length > shortest && each.startsWith(begin) && each.endsWith(end))) return true
  return patterns.map(literalPrefix).some((prefix) => prefix.startsWith(begin) || begin.startsWith(prefix))
}
