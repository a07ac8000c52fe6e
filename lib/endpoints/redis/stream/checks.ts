/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../../endpoint.ts'
import type { Capabilities } from '../../../types.ts'
import { checkExclusions, type Exclusion, problemOf } from '../../common/checks.ts'
import { mayGive } from '../../common/template.ts'
import { checkServer } from '../checks.ts'
import { isSameServer, placeOf } from '../place.ts'
import type { StreamOptions } from './options.ts'
import { compileTopic } from './topic.ts'

const EXCLUSIONS: readonly Exclusion<keyof StreamOptions>[] = [
  ['streams', ['stream'], "write all of them in 'streams', and where to write in 'topic'"],
  ['max-length', ['max-age'], 'Redis trims by one of them'],
]

/** Names of fields that hold something else. */
const TAKEN = new Set(['id', 'time', 'key'])

/** The streams that an endpoint reads. */
export function streamsOf({ stream, streams }: StreamOptions): readonly string[] {
  return streams ?? (stream === undefined ? [] : [stream])
}

/** Errors that the schema cannot say. */
export function* check(options: StreamOptions): Iterable<OptionIssue> {
  yield* checkServer(options)
  yield* checkExclusions(options, EXCLUSIONS)
  const { stream, topic, cluster, 'payload-field': payloadField } = options
  const streams = streamsOf(options)
  if (streams.length === 0 && topic === undefined) {
    yield { path: '', message: "needs 'stream' or 'streams' to read, or 'topic' to write to" }
  }
  if (topic !== undefined) yield* problemOf('topic', () => compileTopic(topic, ''))
  if (cluster !== undefined && new Set(streams.map(hashedPart)).size > 1) {
    yield {
      path: 'streams',
      message:
        'a cluster has them on several nodes, and one read is of one node: ' +
        'declare an endpoint for each, or give all of them one hash tag, as in {orders}.new and {orders}.paid',
    }
  }
  for (const key of ['max-length', 'max-age'] as const) {
    if (options[key] !== undefined && stream === undefined && topic === undefined) {
      yield { path: key, message: "trims what is written to, and nothing is: it needs 'topic'" }
    }
  }
  if (TAKEN.has(payloadField) || payloadField.startsWith('header:')) {
    yield { path: 'payload-field', message: `'${payloadField}' holds something else of a message` }
  }
}

/** What decides in which slot of a cluster a key is. Source: "Hash tags", Redis cluster specification. */
function hashedPart(key: string): string {
  const begin = key.indexOf('{')
  const end = begin === -1 ? -1 : key.indexOf('}', begin + 1)
  return end > begin + 1 ? key.slice(begin + 1, end) : key
}

export function capabilities(options: StreamOptions): Capabilities {
  const { stream, topic = stream } = options
  const streams = streamsOf(options)
  return {
    source: streams.length === 0 ? null : { ack: true, pause: true, replay: true, headers: true, topics: true },
    target:
      topic === undefined
        ? null
        : {
            confirm: true,
            // In a cluster a slot that moves sends some of them another way. An application's connection may be one.
            pipelined: options.cluster === undefined && options.connection === undefined,
            headers: true,
            topics: options.topic !== undefined,
            echo: mayHear(options, options),
            shared: true,
          },
  }
}

/** Whether what an endpoint writes may come in at another. */
export function hears(options: StreamOptions, sender: StreamOptions): boolean {
  const [here, there] = [placeOf(options), placeOf(sender)]
  return here.db === there.db && isSameServer(options, sender) && mayHear(options, sender)
}

/** The same for two at one server. */
function mayHear(options: StreamOptions, sender: StreamOptions): boolean {
  const { topic, stream } = sender
  return streamsOf(options).some((each) => (topic === undefined ? each === stream : mayGive(topic, each)))
}
