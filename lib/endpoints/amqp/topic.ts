/** Floor 3. The routing key that a message is published with. */
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { compileTemplate, type Template } from '../../template.ts'
import { type AmqpOptions, MAX_SHORT } from './options.ts'

/** What bindings of topic exchanges give a meaning. */
const WILDCARDS = /[*#]/
/** A dot, too, is what words are separated by there. */
const SEPARATORS = /[.*#]/
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/
/** Queues of the broker's own, those that answers to a request come by (amq.rabbitmq.reply-to) among them. */
const RESERVED = 'amq.'

/**
 * To an exchange by name, only the whole topic of a message brings words of its own; at the default exchange the routing
 * key is the name of a queue, and a dot in it is a dot.
 * @throws ExpressionError with the offset in the text.
 */
export function compileTopic(text: string, exchange: string | undefined, endpoint: string): Template {
  const separators = exchange === undefined || exchange === '' ? WILDCARDS : SEPARATORS
  const refuse = (expression: string): RegExp => (expression === 'topic' ? WILDCARDS : separators)
  return compileTemplate(text, { refuse, what: endpoint })
}

/**
 * @returns a function that throws what a template does, and ARALDO_ERR_TOPIC_INVALID; undefined where the endpoint is no
 * target.
 */
export function topicOf(
  { topic, exchange }: AmqpOptions,
  endpoint: string,
): ((message: Message) => string) | undefined {
  if (topic === undefined) return exchange === undefined ? undefined : () => ''
  const template = compileTopic(topic, exchange, endpoint)
  const mayBeReserved = (exchange !== undefined && exchange !== '') || topic.startsWith(RESERVED)
  return (message) => {
    const rendered = template.render(message)
    const problem = problemOf(rendered, mayBeReserved)
    if (problem !== undefined) throw new errors.TOPIC_INVALID(endpoint, problem)
    return rendered
  }
}

function problemOf(rendered: string, mayBeReserved: boolean): string | undefined {
  // No character of a string has more than three bytes.
  const bytes = rendered.length * 3 <= MAX_SHORT ? rendered.length : Buffer.byteLength(rendered)
  if (bytes === 0 || bytes > MAX_SHORT) return `it has ${bytes} bytes, and must have 1 to ${MAX_SHORT}`
  if (CONTROL.test(rendered)) return 'it holds a control character'
  if (!mayBeReserved && rendered.startsWith(RESERVED)) return "queues whose names begin with amq. are the broker's own"
  return undefined
}
