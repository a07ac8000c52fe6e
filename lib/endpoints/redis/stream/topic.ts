/** Floor 3. The stream that a message is written to. */
import { errors } from '../../../errors.ts'
import type { Message } from '../../../message.ts'
import { compileTemplate, type Template } from '../../../template.ts'
import { MAX_NAME } from '../options.ts'
import type { StreamOptions } from './options.ts'

/** @throws ExpressionError with the offset in the text. */
export function compileTopic(text: string, endpoint: string): Template {
  // Redis knows no separators in the name of a key: a dot is a dot. Line breaks and NUL are refused in any case.
  return compileTemplate(text, { what: endpoint })
}

/**
 * The option `topic` decides where a message goes, with what it takes from the message, its own topic among that
 * (`{topic}`); else it is the option `stream`.
 * @returns a function that throws what a template does, and ARALDO_ERR_TOPIC_INVALID; undefined where the endpoint is
 * no target.
 */
export function topicOf(
  { topic, stream }: StreamOptions,
  endpoint: string,
): ((message: Message) => string) | undefined {
  if (topic === undefined) return stream === undefined ? undefined : () => stream
  const template = compileTopic(topic, endpoint)
  return (message) => {
    const rendered = template.render(message)
    if (rendered.length > 0 && rendered.length <= MAX_NAME) return rendered
    throw new errors.TOPIC_INVALID(endpoint, `it has ${rendered.length} characters, and must have 1 to ${MAX_NAME}`)
  }
}
