/**
 * Floor 3. Subjects: what may be published to, what may be subscribed to, and whether two have a subject in common.
 *
 * Source: "Subject-Based Messaging", NATS documentation: tokens between dots; `*` stands for one, `>` for all that follow.
 */
import { quote } from '../../config/words.ts'
import type { OptionIssue } from '../../endpoint.ts'
import { errors } from '../../errors.ts'
import type { Message } from '../../message.ts'
import { compileTemplate } from '../../template.ts'
import { problemOf } from '../common/checks.ts'
import { MAX_SUBJECT } from './options.ts'

/** White space and control characters end a subject in the protocol, wherever they stand. */
// eslint-disable-next-line no-control-regex
const BROKEN = /[\s\u0000-\u0020\u007f]/
/** What no value may hold that a message puts into a subject; its own topic may have dots. */
// eslint-disable-next-line no-control-regex
const IN_TOPIC = /[\s\u0000-\u0020\u007f*>]/
// eslint-disable-next-line no-control-regex
const IN_TOKEN = /[\s\u0000-\u0020\u007f*>.]/
/** Subjects that mean something to the server, or to its clients: system, JetStream, key-value and object stores, replies. */
const RESERVED = /^(?:\$|_INBOX\.|_INBOX$|_R_\.|_GR_\.)/

/** What is wrong with a subject to publish to; undefined where nothing is. */
export function problemOfSubject(subject: string, allowReserved: boolean): string | undefined {
  const broken = problemOfText(subject)
  if (broken !== undefined) return broken
  if (/[*>]/.test(subject)) return `${quote(subject)} holds a wildcard`
  if (!allowReserved && RESERVED.test(subject)) {
    return `${quote(subject)} is reserved: set 'allow-reserved: true' where that is meant`
  }
  return undefined
}

/** What is wrong with a subject to subscribe to; undefined where nothing is. */
export function problemOfPattern(pattern: string): string | undefined {
  const broken = problemOfText(pattern)
  if (broken !== undefined) return broken
  const tokens = pattern.split('.')
  const isMisplaced = tokens.some((token, index) => {
    if (token === '>') return index < tokens.length - 1
    return token !== '*' && /[*>]/.test(token)
  })
  return isMisplaced
    ? `${quote(pattern)}: * stands for a whole token, and > for all that follow, at the end`
    : undefined
}

function problemOfText(subject: string): string | undefined {
  if (subject === '') return 'it is empty'
  if (BROKEN.test(subject)) return `${quote(subject)} holds white space or a control character`
  if (/\p{Surrogate}/u.test(subject)) return `${quote(subject)} is no well-formed Unicode`
  if (subject.startsWith('.') || subject.endsWith('.') || subject.includes('..')) {
    return `${quote(subject)} has an empty token: two dots, or one at an end`
  }
  const bytes = Buffer.byteLength(subject)
  return bytes > MAX_SUBJECT ? `it has ${bytes} bytes, and may have ${MAX_SUBJECT}` : undefined
}

/** Whether one subject can match both. */
export function overlap(one: string, other: string): boolean {
  const [here, there] = [one.split('.'), other.split('.')]
  for (let index = 0; ; index++) {
    const [a, b] = [here[index], there[index]]
    if (a === undefined || b === undefined) return a === b
    if (a === '>' || b === '>') return true
    if (a !== b && a !== '*' && b !== '*') return false
  }
}

/**
 * A pattern of all subjects that a template can give. More than those where a token is made of data: what follows it is
 * left open.
 */
export function patternOf(template: string): string {
  const brace = template.search(/[{}]/)
  if (brace === -1) return template
  return `${template.slice(0, template.lastIndexOf('.', brace) + 1)}>`
}

/** What is wrong with the option `topic`. */
export function* checkTopic(topic: string | undefined, allowReserved: boolean): Iterable<OptionIssue> {
  if (topic === undefined) return
  if (/[{}]/.test(topic)) yield* problemOf('topic', () => compileTopic(topic, '', allowReserved))
  else {
    const message = problemOfSubject(topic, allowReserved)
    if (message !== undefined) yield { path: 'topic', message }
  }
}

/**
 * A constant subject is looked at once, here.
 * @returns what gives a message's subject, and throws what a template does, and ARALDO_ERR_TOPIC_INVALID.
 * @throws ExpressionError with the offset in the text; ARALDO_ERR_TOPIC_INVALID.
 */
export function compileTopic(text: string, endpoint: string, allowReserved: boolean): (message: Message) => string {
  const refuse = (expression: string): RegExp => (expression === 'topic' ? IN_TOPIC : IN_TOKEN)
  const template = compileTemplate(text, { refuse, what: endpoint })
  const requireSound = (subject: string): string => {
    const problem = problemOfSubject(subject, allowReserved)
    if (problem !== undefined) throw new errors.TOPIC_INVALID(endpoint, problem)
    return subject
  }
  if (!/[{}]/.test(text)) {
    const constant = requireSound(text)
    return () => constant
  }
  let last = ''
  return (message) => {
    const subject = template.render(message)
    // Most messages go where the one before them went.
    return subject === last ? subject : (last = requireSound(subject))
  }
}
