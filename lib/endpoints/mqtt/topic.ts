/** Floor 3. The topic that a message is published to. */
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { compileTemplate, type Template } from '../../template.ts'
import type { MqttOptions } from './options.ts'
import { textProblem } from './text.ts'

/** No value may choose the level that it stands in, but the topic of a message is levels. */
const refuse = (expression: string): RegExp => (expression === 'topic' ? /[+#]/ : /[+#/]/)

/** @throws ExpressionError with the offset in the text. */
export function compileTopic(text: string, endpoint: string): Template {
  return compileTemplate(text, { refuse, what: endpoint })
}

/**
 * Why nothing can be published to a topic; undefined where it can.
 * Source: MQTT 5, sections 3.3.2.1 and 4.7: no wildcards, at least one character, 65,535 bytes at most; `$…` is the
 * broker's.
 */
export function topicProblem(topic: string, allowReserved: boolean): string | undefined {
  if (topic === '') return 'it is empty'
  if (/[+#]/.test(topic)) return "it holds a wildcard, '+' or '#'"
  if (!allowReserved && topic.startsWith('$')) {
    return "what begins with '$' is the broker's own: set 'allow-reserved' if it is meant"
  }
  return textProblem(topic)
}

/**
 * @returns a function that throws what a template does, and ARALDO_ERR_TOPIC_INVALID; undefined where the endpoint is
 * no target.
 */
export function topicOf(options: MqttOptions, endpoint: string): ((message: Message) => string) | undefined {
  const { topic, 'allow-reserved': allowReserved } = options
  if (topic === undefined) return undefined
  const template = compileTopic(topic, endpoint)
  /** Most messages go where the one before went. */
  let last: string | undefined
  return (message) => {
    const rendered = template.render(message)
    if (rendered === last) return rendered
    const problem = topicProblem(rendered, allowReserved)
    if (problem !== undefined) throw new errors.TOPIC_INVALID(endpoint, problem)
    last = rendered
    return rendered
  }
}
