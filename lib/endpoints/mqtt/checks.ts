/** Floor 3. What an endpoint's options mean together: mistakes that no schema can name, and what they make it capable of. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'
import type { Capabilities } from '../../types.ts'
import { isSet, problemOf } from '../common/checks.ts'
import { checkTls } from '../common/tls.ts'
import { checkSaidOnce, checkUrlTls } from '../common/url.ts'
import { isSameHost, parseUrl, usesTls } from './address.ts'
import { filterProblem, mayMatch, shareProblem } from './filters.ts'
import { DEFAULT_SESSION_EXPIRY, type MqttOptions } from './options.ts'
import { textProblem } from './text.ts'
import { compileTopic, topicProblem } from './topic.ts'

/** The topic filters that an endpoint subscribes to, without the group that shares them. */
export function filtersOf({ subscribe }: MqttOptions): readonly string[] {
  if (subscribe === undefined) return []
  return typeof subscribe === 'string' ? [subscribe] : subscribe
}

/** Whether the broker keeps what comes while the relay is away, and what was not acknowledged. */
export function hasSession(options: MqttOptions): boolean {
  const { qos, 'session-expiry': sessionExpiry = DEFAULT_SESSION_EXPIRY } = options
  return filtersOf(options).length > 0 && qos > 0 && sessionExpiry > 0
}

/** Whether the broker keeps from the endpoint what it has published itself. Source: MQTT 5, section 3.8.3.1 (No Local). */
export function usesNoLocal({ version, share, echo }: MqttOptions): boolean {
  // A shared subscription with it is an error of the protocol (MQTT-3.8.3-4).
  return version === 5 && share === undefined && !echo
}

/** Errors that the schema cannot say. */
export function* check(options: MqttOptions): Iterable<OptionIssue> {
  yield* checkUrl(options)
  yield* checkTls('tls', options.tls)
  yield* checkVersion(options)
  yield* checkSource(options)
  yield* checkTarget(options)
  if (filtersOf(options).length === 0 && options.topic === undefined) {
    yield { path: '', message: "needs 'subscribe' to receive, or 'topic' to publish to" }
  }
}

function* checkUrl(options: MqttOptions): Iterable<OptionIssue> {
  const { url, username, password, tls, version } = options
  let address
  try {
    address = parseUrl(url)
  } catch (error) {
    yield { path: 'url', message: reasonOf(error) }
    return
  }
  yield* checkSaidOnce(options, address, ['username', 'password'])
  const hasUser = (username ?? address.username) !== undefined
  // MQTT-3.1.2-22
  if (version === '3.1.1' && !hasUser && (password ?? address.password) !== undefined) {
    yield { path: password === undefined ? 'url' : 'password', message: "needs a 'username' in 3.1.1" }
  }
  yield* checkUrlTls(tls, usesTls(address), ['mqtt:// or ws://', 'mqtts:// or wss://'])
}

function* checkVersion(options: MqttOptions): Iterable<OptionIssue> {
  const { 'client-id': clientId } = options
  const problem = clientId === undefined ? undefined : textProblem(clientId)
  if (problem !== undefined) yield { path: 'client-id', message: problem }
  if (options.version === 5) return
  for (const path of ['receive-maximum', 'retain-handling', 'message-expiry', 'echo'] as const) {
    if (isSet(options, path)) yield { path, message: 'is of MQTT 5, which 3.1.1 does not have' }
  }
}

function* checkSource(options: MqttOptions): Iterable<OptionIssue> {
  const filters = filtersOf(options)
  for (const filter of filters) {
    const problem = filterProblem(filter)
    if (problem !== undefined) yield { path: 'subscribe', message: problem }
  }
  const problem = options.share === undefined ? undefined : shareProblem(options.share)
  if (problem !== undefined) yield { path: 'share', message: problem }
  if (filters.length > 0) return
  for (const path of ['share', 'session-expiry', 'receive-maximum', 'retain-handling', 'echo'] as const) {
    if (isSet(options, path)) yield { path, message: "is for what comes in, and nothing does: it needs 'subscribe'" }
  }
}

function* checkTarget(options: MqttOptions): Iterable<OptionIssue> {
  const { topic, 'allow-reserved': allowReserved } = options
  if (topic === undefined) {
    for (const path of ['retain', 'message-expiry', 'allow-reserved'] as const) {
      if (isSet(options, path)) yield { path, message: "is for what is published, and nothing is: it needs 'topic'" }
    }
    return
  }
  yield* problemOf('topic', () => compileTopic(topic, ''))
  // Of a template, what it begins with stands there as it is.
  const [begin = ''] = topic.split('{', 1)
  const problem = begin === '' ? undefined : topicProblem(begin, allowReserved)
  if (problem !== undefined) yield { path: 'topic', message: problem }
}

export function capabilities(options: MqttOptions): Capabilities {
  const { version, qos, topic } = options
  const isAcknowledged = qos > 0
  // Without a session nobody has a message that the relay dies with: an acknowledgement that waits would promise nothing.
  const replay = hasSession(options)
  const headers = version === 5
  return {
    source:
      filtersOf(options).length === 0 ? null : { ack: replay, pause: isAcknowledged, replay, headers, topics: true },
    target:
      topic === undefined
        ? null
        : {
            confirm: isAcknowledged,
            // MQTT 5, section 4.6: topics are ordered by default, and what one client publishes to one is in order.
            pipelined: isAcknowledged,
            headers,
            topics: topic.includes('{'),
            echo: !usesNoLocal(options) && mayHear(options, topic),
            shared: true,
          },
  }
}

/** Whether what an endpoint publishes may come in at another. */
export function hears(options: MqttOptions, sender: MqttOptions): boolean {
  return sender.topic !== undefined && isSameHost(options.url, sender.url) && mayHear(options, sender.topic)
}

function mayHear(options: MqttOptions, topic: string): boolean {
  return filtersOf(options).some((filter) => mayMatch(filter, topic))
}
