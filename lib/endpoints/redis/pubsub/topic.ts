/** Floor 3. The channel that a message is published to. */
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import { compileTemplate, type Template } from '../../../template.ts'
import { MAX_NAME } from '../options.ts'
import type { RedisOptions } from './options.ts'

/** What PSUBSCRIBE gives a meaning. Redis knows no separators: a dot in a channel's name is a dot. */
const WILDCARDS = /[*?[\]\\]/

/** @throws ExpressionError with the offset in the text. */
export function compileTopic(text: string, endpoint: string): Template {
  return compileTemplate(text, { refuse: WILDCARDS, what: endpoint })
}

/**
 * The option `topic` decides where a message goes, with what it takes from the message, its own topic among that
 * (`{topic}`); else it is the option `channel`.
 * @returns a function that throws what a template does, and ARALDO_ERR_TOPIC_INVALID; undefined where the endpoint is
 * no target.
 */
export function topicOf(
  { topic, channel }: RedisOptions,
  endpoint: string,
): ((message: Message) => string) | undefined {
  if (topic === undefined) return channel === undefined ? undefined : () => channel
  const template = compileTopic(topic, endpoint)
  return (message) => {
    const rendered = template.render(message)
    if (rendered.length > 0 && rendered.length <= MAX_NAME) return rendered
    throw new errors.TOPIC_INVALID(endpoint, `it has ${rendered.length} characters, and must have 1 to ${MAX_NAME}`)
  }
}
