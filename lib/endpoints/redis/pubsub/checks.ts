/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../../endpoint.ts'
import type { Capabilities } from '../../../types.ts'
import { checkExclusions, type Exclusion, problemOf } from '../../common/checks.ts'
import { checkServer } from '../checks.ts'
import { mayHear, subscriptionsOf } from './channels.ts'
import { matches } from './glob.ts'
import type { RedisOptions } from './options.ts'
import { compileTopic } from './topic.ts'

const EXCLUSIONS: readonly Exclusion<keyof RedisOptions>[] = [
  ['channels', ['channel'], "write all of them in 'channels', and where to publish in 'topic'"],
  ['patterns', ['pattern'], "write all of them in 'patterns'"],
  ['sharded', ['pattern', 'patterns'], 'sharded Pub/Sub has no patterns'],
]

/** Errors that the schema cannot say. */
export function* check(options: RedisOptions): Iterable<OptionIssue> {
  yield* checkServer(options)
  yield* checkExclusions(options, EXCLUSIONS)
  yield* checkTopics(options)
}

function* checkTopics(options: RedisOptions): Iterable<OptionIssue> {
  const { channels, patterns } = subscriptionsOf(options)
  const { topic } = options
  if (channels.length + patterns.length === 0 && topic === undefined) {
    yield {
      path: '',
      message: "needs 'channel', 'channels', 'pattern' or 'patterns' to subscribe to, or 'topic' to publish to",
    }
  }
  for (const channel of channels) {
    const pattern = patterns.find((each) => matches(each, channel))
    if (pattern === undefined) continue
    const path = options.channel === undefined ? 'channels' : 'channel'
    yield { path, message: `'${channel}' is matched by '${pattern}' too: each of its messages would come in twice` }
  }
  if (topic !== undefined) yield* problemOf('topic', () => compileTopic(topic, ''))
}

export function capabilities(options: RedisOptions): Capabilities {
  const { channels, patterns } = subscriptionsOf(options)
  const { channel, topic = channel } = options
  const isSource = channels.length + patterns.length > 0
  return {
    source: isSource ? { ack: false, pause: false, replay: false, headers: false, topics: true } : null,
    target:
      topic === undefined
        ? null
        : {
            confirm: false,
            headers: false,
            topics: options.topic !== undefined,
            echo: isSource && mayHear(options, options),
          },
  }
}
