/** Floor 1. What a module's function gave back, as the messages that go on. */
import { HOPS_HEADER } from '../hops.ts'
import type { Message, MessageChange } from '../message.ts'
import { toPlain } from '../plain.ts'
import type { Headers } from '../types.ts'

const KEYS = ['body', 'topic', 'key', 'headers'] as const
/** What one message may become. */
const MAX_PARTS = 10_000

/** @throws Error that says what is none of the results that there are. */
export function messagesOf(result: unknown, message: Message): readonly Message[] {
  if (!Array.isArray(result)) {
    const change = changeOf(result, message)
    if (change === undefined) return [message]
    return change === null ? [] : [message.with(change)]
  }
  if (result.length > MAX_PARTS) throw new Error(`a list of ${result.length} results, more than ${MAX_PARTS}`)
  return result.flatMap((each: unknown, index) => {
    const change = changeOf(each, message)
    return change === null ? [] : [message.part(index, change ?? {})]
  })
}

/** @returns undefined where nothing is to change, null where the message is filtered out. */
function changeOf(result: unknown, message: Message): MessageChange | null | undefined {
  if (result === undefined || result === true) return undefined
  if (result === null || result === false) return null
  if (typeof result !== 'object') throw new Error(`expected a map with ${KEYS.join(', ')}, got a ${typeof result}`)
  // A message has other fields, too, and is a result all the same.
  const isPlain = Object.getPrototypeOf(result) === Object.prototype || Object.getPrototypeOf(result) === null
  const unknown = isPlain ? Object.keys(result).find((key) => !(KEYS as readonly string[]).includes(key)) : undefined
  if (unknown !== undefined) throw new Error(`there is no '${unknown}' in a result; there are ${KEYS.join(', ')}`)
  const { body, topic, key, headers } = result as Record<(typeof KEYS)[number], unknown>
  return {
    ...('body' in result && { body: toPlain(body) }),
    ...(topic !== undefined && { topic: textOf(topic, 'topic') }),
    ...(key !== undefined && { key: textOf(key, 'key') }),
    ...(headers !== undefined && { headers: headersOf(headers, message) }),
  }
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  throw new Error(`${what}: expected text, got ${value === null ? 'null' : `a ${typeof value}`}`)
}

/** Added to those of the message. Where it has been is not for a step to say. */
function headersOf(value: unknown, message: Message): Headers {
  if (typeof value !== 'object' || value === null) throw new Error('headers: expected a map of names to text')
  const headers = Object.assign(Object.create(null) as Record<string, string>, message.headers)
  for (const [name, each] of Object.entries(value)) {
    if (name !== HOPS_HEADER) headers[name] = textOf(each, `header '${name}'`)
  }
  return headers
}
