/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import type { Capabilities } from '../../types.ts'
import { checkExclusions, checkHost, type Exclusion, isSet, problemOf } from '../common/checks.ts'
import { mayGive } from '../common/template.ts'
import { checkTls } from '../common/tls.ts'
import { checkSaidOnce, checkUrlTls } from '../common/url.ts'
import { isSamePlace, parseUrl } from './address.ts'
import { type AmqpOptions, type DeclareOptions, MAX_SHORT } from './options.ts'
import { compileTopic } from './topic.ts'

const EXCLUSIONS: readonly Exclusion<keyof AmqpOptions>[] = [['url', ['host', 'port'], 'write them into the url']]

/** Names that begin with it are the broker's own. Source: AMQP 0-9-1, exchange.declare and queue.declare. */
const RESERVED = /^amq\./

/** Errors that the schema cannot say. */
export function* check(options: AmqpOptions): Iterable<OptionIssue> {
  yield* checkExclusions(options, EXCLUSIONS)
  yield* checkHost(options)
  yield* checkLogin(options)
  yield* checkTls('tls', options.tls)
  const { queue, topic, exchange } = options
  if (queue === undefined && topic === undefined && exchange === undefined) {
    yield { path: '', message: "needs 'queue' to read, or 'topic' or 'exchange' to publish to" }
  }
  if (exchange === '' && topic === undefined) {
    yield { path: 'exchange', message: "needs 'topic': the default exchange takes the name of a queue" }
  }
  if (topic !== undefined) yield* problemOf('topic', () => compileTopic(topic, options.exchange, ''))
  if (queue === undefined && options.exclusive) yield { path: 'exclusive', message: "needs a 'queue'" }
  if (!options.mandatory && options.unroutable === 'reject') {
    yield { path: 'unroutable', message: "needs 'mandatory: true': else the broker does not say so" }
  }
  if (topic === undefined && exchange === undefined && options['confirm-timeout'] !== undefined) {
    yield { path: 'confirm-timeout', message: "is of what is published: it needs 'topic' or 'exchange'" }
  }
  yield* checkLengths({ queue, exchange })
  yield* checkDeclaration(options)
}

function* checkLogin(options: AmqpOptions): Iterable<OptionIssue> {
  const { url, username, password, tls, mechanism } = options
  let hasUser = username !== undefined
  let hasTls = isSet({ tls }, 'tls')
  if (url === undefined) {
    if (hasUser && password === undefined) yield { path: 'username', message: "needs a 'password'" }
  } else {
    let parsed
    try {
      parsed = parseUrl(url)
    } catch (error) {
      yield { path: 'url', message: reasonOf(error) }
      return
    }
    yield* checkSaidOnce(options, parsed, ['username', 'password', 'vhost'])
    if ((username ?? parsed.username) !== undefined && (password ?? parsed.password) === undefined) {
      yield { path: username === undefined ? 'url' : 'username', message: "needs a 'password'" }
    }
    yield* checkUrlTls(tls, parsed.tls, ['amqp://', 'amqps://'])
    hasUser ||= parsed.username !== undefined
    hasTls = parsed.tls
  }
  if (mechanism !== 'external') return
  const hasCertificate = typeof tls === 'object' && tls.cert !== undefined
  if (!hasTls || !hasCertificate) {
    yield { path: 'mechanism', message: "external logs in with the client's certificate: it needs 'tls: cert, key'" }
  }
  if (hasUser) yield { path: 'mechanism', message: 'external takes the user from the certificate: leave the other out' }
}

function* checkLengths(names: Readonly<Record<string, string | undefined>>): Iterable<OptionIssue> {
  for (const [path, name] of Object.entries(names)) {
    if (name !== undefined && Buffer.byteLength(name) > MAX_SHORT) {
      yield { path, message: `has more than ${MAX_SHORT} bytes` }
    }
  }
}

function* checkDeclaration({ declare, queue }: AmqpOptions): Iterable<OptionIssue> {
  const path = 'declare'
  if (declare === undefined || declare === false) return
  const declaration: DeclareOptions = declare === true ? {} : declare
  const { type = 'quorum', durable, 'auto-delete': autoDelete, bindings = [], exchanges = [] } = declaration
  if (queue === undefined) {
    const ofQueue = ['type', 'durable', 'auto-delete', 'arguments', 'bindings'] as const
    const found = ofQueue.find((key) => declaration[key] !== undefined)
    if (found !== undefined) yield { path, message: `'${found}' needs a 'queue'` }
    else if (exchanges.length === 0) yield { path, message: "needs a 'queue', or 'exchanges'" }
  }
  if (type === 'quorum' && (durable === false || autoDelete === true)) {
    yield { path, message: "a quorum queue is durable and stays: write 'type: classic', or leave these out" }
  }
  if (declaration.arguments?.['x-queue-type'] !== undefined) {
    yield { path, message: "write 'type' in place of the argument x-queue-type" }
  }
  for (const name of [queue, ...exchanges.map((each) => each.name)]) {
    if (name !== undefined && RESERVED.test(name)) {
      yield { path, message: `'${name}' is a name of the broker's own: what begins with amq. cannot be declared` }
    }
  }
  for (const { exchange } of bindings) yield* checkLengths({ [path]: exchange })
  for (const { name } of exchanges) yield* checkLengths({ [path]: name })
}

export function capabilities(options: AmqpOptions): Capabilities {
  const { queue, topic, exchange } = options
  return {
    source: queue === undefined ? null : { ack: true, pause: true, replay: true, headers: true, topics: true },
    target:
      topic === undefined && exchange === undefined
        ? null
        : {
            confirm: true,
            pipelined: true,
            headers: true,
            topics: topic !== undefined,
            echo: mayHear(options, options),
            shared: true,
          },
  }
}

/** Whether what an endpoint publishes may come in at another, as far as the options tell: bindings that others make are not seen. */
export function hears(options: AmqpOptions, sender: AmqpOptions): boolean {
  return isSamePlace(options, sender) && mayHear(options, sender)
}

/** The same for two at one vhost. */
function mayHear(listener: AmqpOptions, sender: AmqpOptions): boolean {
  const { queue, declare } = listener
  const { exchange = '', topic = '' } = sender
  if (queue === undefined) return false
  if (exchange !== '') {
    const bindings = typeof declare === 'object' ? (declare.bindings ?? []) : []
    const isTopic = [listener, sender].some((options) => declaresTopic(options, exchange))
    return bindings.some(
      (binding) => binding.exchange === exchange && (!isTopic || mayMatch(binding['routing-key'] ?? '', topic)),
    )
  }
  return mayGive(topic, queue)
}

function declaresTopic({ declare }: AmqpOptions, exchange: string): boolean {
  const exchanges = typeof declare === 'object' ? (declare.exchanges ?? []) : []
  return exchanges.some(({ name, type }) => name === exchange && type === 'topic')
}

/** Whether a routing key that `topic` gives may match a binding, by the words before the first that can be any. */
function mayMatch(binding: string, topic: string): boolean {
  const words = binding.split('.')
  const brace = topic.search(/[{}]/)
  const given = (brace === -1 ? topic : topic.slice(0, brace)).split('.')
  const isOpen = brace !== -1
  // The last one goes on with what the data brings.
  if (isOpen) given.pop()
  for (const [index, word] of words.entries()) {
    if (word === '#') return true
    const other = given[index]
    if (other === undefined) return isOpen
    if (word !== '*' && word !== other) return false
  }
  return !isOpen && words.length === given.length
}
