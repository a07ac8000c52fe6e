/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../../endpoint.ts'
import type { Capabilities } from '../../../types.ts'
import { checkExclusions, type Exclusion, isSet } from '../../common/checks.ts'
import { checkServer, isSameServer } from '../checks.ts'
import { checkTopic, overlap, patternOf, problemOfPattern } from '../subject.ts'
import type { CreateOptions, JetStreamOptions } from './options.ts'

const EXCLUSIONS: readonly Exclusion<keyof JetStreamOptions>[] = [
  ['subjects', ['subject'], "write all of them in 'subjects'"],
]
/** These say something of what is read. */
const OF_SOURCE = ['subject', 'subjects', 'durable', 'domain'] as const

/** Which subjects of its stream an endpoint reads; none for all of them. */
export function filtersOf({ subject, subjects }: JetStreamOptions): readonly string[] {
  return subjects ?? (subject === undefined ? [] : [subject])
}

/** How a missing stream is made; undefined where it is not. */
export function creationOf({ create }: JetStreamOptions): CreateOptions | undefined {
  if (create === undefined || create === false) return undefined
  return create === true ? {} : create
}

/** What a stream takes in that the endpoint makes; none where the options do not say. */
export function createdSubjects(options: JetStreamOptions): readonly string[] {
  const { topic } = options
  const own = creationOf(options)?.subjects ?? filtersOf(options)
  if (own.length > 0) return own
  return topic === undefined || topic.includes('{') ? [] : [topic]
}

/** Errors that the schema cannot say. */
export function* check(options: JetStreamOptions): Iterable<OptionIssue> {
  yield* checkServer(options)
  yield* checkExclusions(options, EXCLUSIONS)
  const { stream, topic, start } = options
  if (stream === undefined && topic === undefined)
    yield { path: '', message: "needs 'stream' to read, or 'topic' to write to" }
  if (stream === undefined) {
    for (const path of OF_SOURCE)
      if (isSet(options, path)) yield { path, message: "is of what is read: it needs 'stream'" }
    if (isSet(options, 'create')) yield { path: 'create', message: "needs 'stream', its name" }
  } else if (isSet(options, 'create') && createdSubjects(options).length === 0) {
    yield { path: 'create', message: "needs to know what the stream takes in: write 'subjects' into it" }
  }
  if (topic === undefined && options['allow-reserved'])
    yield { path: 'allow-reserved', message: "is of what is published: it needs 'topic'" }
  yield* checkPatterns(options)
  if (/^\d{4}-/.test(start) && Number.isNaN(Date.parse(start))) yield { path: 'start', message: 'is no time' }
  yield* checkTopic(topic, options['allow-reserved'])
}

function* checkPatterns(options: JetStreamOptions): Iterable<OptionIssue> {
  const filters = filtersOf(options)
  const path = options.subjects === undefined ? 'subject' : 'subjects'
  for (const [index, each] of filters.entries()) {
    const problem = problemOfPattern(each)
    if (problem !== undefined) yield { path, message: problem }
    const twin = filters.slice(0, index).find((other) => overlap(each, other))
    if (twin === undefined) continue
    yield { path, message: `'${each}' and '${twin}' have subjects in common, which JetStream does not allow` }
  }
  for (const each of creationOf(options)?.subjects ?? []) {
    const problem = problemOfPattern(each)
    if (problem !== undefined) yield { path: 'create', message: problem }
  }
}

export function capabilities(options: JetStreamOptions): Capabilities {
  const { stream, topic } = options
  return {
    source: stream === undefined ? null : { ack: true, pause: true, replay: true, headers: true, topics: true },
    target:
      topic === undefined
        ? null
        : {
            confirm: true,
            pipelined: true,
            headers: true,
            topics: topic.includes('{'),
            echo: mayHear(options, options),
            shared: true,
          },
  }
}

/** Whether what an endpoint publishes may come in at another. */
export function hears(options: JetStreamOptions, sender: JetStreamOptions): boolean {
  return isSameServer(options, sender) && mayHear(options, sender)
}

/** Where the options do not say what a stream takes in, it may be anything. */
function mayHear(options: JetStreamOptions, { topic }: JetStreamOptions): boolean {
  if (topic === undefined || options.stream === undefined) return false
  const published = patternOf(topic)
  const filters = filtersOf(options)
  const taken = filters.length > 0 ? filters : (creationOf(options)?.subjects ?? ['>'])
  return taken.some((each) => overlap(each, published))
}
