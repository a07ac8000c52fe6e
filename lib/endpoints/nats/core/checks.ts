/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../../endpoint.ts'
import type { Capabilities } from '../../../types.ts'
import { checkExclusions, type Exclusion } from '../../common/checks.ts'
import { checkServer, isSameServer } from '../checks.ts'
import { checkTopic, overlap, patternOf, problemOfPattern } from '../subject.ts'
import type { NatsOptions } from './options.ts'

const EXCLUSIONS: readonly Exclusion<keyof NatsOptions>[] = [
  ['subjects', ['subject'], "write all of them in 'subjects'"],
]

/** The subjects that an endpoint subscribes to. */
export function subjectsOf({ subject, subjects }: NatsOptions): readonly string[] {
  return subjects ?? (subject === undefined ? [] : [subject])
}

/** Errors that the schema cannot say. */
export function* check(options: NatsOptions): Iterable<OptionIssue> {
  yield* checkServer(options)
  yield* checkExclusions(options, EXCLUSIONS)
  const { topic, queue, confirm } = options
  const subjects = subjectsOf(options)
  if (subjects.length === 0 && topic === undefined) {
    yield { path: '', message: "needs 'subject' or 'subjects' to subscribe to, or 'topic' to publish to" }
  }
  if (subjects.length === 0 && queue !== undefined)
    yield { path: 'queue', message: "is of subscribers: it needs 'subject'" }
  if (topic === undefined && confirm !== 'none')
    yield { path: 'confirm', message: "is of what is published: it needs 'topic'" }
  if (topic === undefined && options['allow-reserved'])
    yield { path: 'allow-reserved', message: "is of what is published: it needs 'topic'" }
  if ((subjects.length === 0 || topic === undefined) && options.echo)
    yield { path: 'echo', message: "needs both ends, 'subject' and 'topic': nothing else comes back" }
  const path = options.subjects === undefined ? 'subject' : 'subjects'
  for (const [index, each] of subjects.entries()) {
    const problem = problemOfPattern(each)
    if (problem !== undefined) yield { path, message: problem }
    const twin = subjects.slice(0, index).find((other) => overlap(each, other))
    if (twin === undefined) continue
    yield { path, message: `'${each}' and '${twin}' have subjects in common: a message to one would come in twice` }
  }
  yield* checkTopic(topic, options['allow-reserved'])
}

export function capabilities(options: NatsOptions): Capabilities {
  const { topic, headers, confirm, echo } = options
  return {
    source:
      subjectsOf(options).length === 0 ? null : { ack: false, pause: false, replay: false, headers, topics: true },
    target:
      topic === undefined
        ? null
        : {
            confirm: confirm === 'flush',
            pipelined: confirm === 'flush',
            headers,
            topics: topic.includes('{'),
            echo: echo && mayHear(options, options),
            shared: true,
          },
  }
}

/** Whether what an endpoint publishes may come in at another, which has a connection of its own. */
export function hears(options: NatsOptions, sender: NatsOptions): boolean {
  return isSameServer(options, sender) && mayHear(options, sender)
}

function mayHear(options: NatsOptions, { topic }: NatsOptions): boolean {
  if (topic === undefined) return false
  const published = patternOf(topic)
  return subjectsOf(options).some((each) => overlap(each, published))
}
