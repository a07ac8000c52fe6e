/** Floor 3. What amqplib's errors say, in the broker's own words and without what is of no use to people. */
import { reasonOf } from '../../errors.ts'

/** `Channel closed by server: 404 (NOT-FOUND) with message "NOT_FOUND - no queue 'x' in vhost '/'"` */
const CLOSED = /(\d{3}) \([A-Z-]+\) with message "(.*)"$/s
/** Some brokers close the connection where amqplib waits for its opening, and it does not say why. */
const NOT_OPENED = /^Expected ConnectionOpenOk; got <ConnectionClose /

/** Why a connection or a channel ended. */
export function plainError(error: unknown): Error {
  const text = reasonOf(error)
  if (text === 'Heartbeat timeout') return new Error('the broker has been silent for two heartbeats')
  if (NOT_OPENED.test(text)) {
    return new Error(
      'the broker lets the user in, and not into the vhost: it is missing, full, or another right is needed',
    )
  }
  const [, code, words] = CLOSED.exec(text) ?? []
  if (words === undefined) return new Error(text)
  const advice = words.includes('Login was refused') || words.includes('login refused') ? ADVICE : ''
  return new Error(`${code} ${words}${advice}`)
}

const ADVICE = " Check 'username' and 'password', and that the user may log in from here"

/** The bound that the broker has closed a channel for. Source: rabbit_channel:check_msg_size. */
export function maxMessageSizeOf({ message }: Error): number | undefined {
  const [, bytes] = /message size \d+ is larger than (?:configured )?max size (\d+)/.exec(message) ?? []
  return bytes === undefined ? undefined : Number(bytes)
}
