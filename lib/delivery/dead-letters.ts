/**
 * Floor 2. Where messages go that cannot be delivered: another endpoint, by the same contract. What it cannot take waits
 * until it can; nothing is dropped here. A message that waits here still has its place in its lane's outbox, which is
 * what bounds it.
 */
import { type Clock, Dispatcher } from './dispatcher.ts'
import type { Endpoint } from '../endpoint.ts'
import { reasonOf } from '../errors.ts'
import { DEFAULT_CONCURRENCY, DEFAULT_RETRY } from './guarantee.ts'
import { isPipelined } from './handover.ts'
import { HOPS_HEADER } from '../hops.ts'
import { Message } from '../message.ts'
import { OutboxEntry } from './outbox.ts'
import type { Headers } from '../types.ts'

/** Where a letter goes on that failed in a step, after others. */
export const STEP_HEADER = 'araldo-step'

/** What became of a message that cannot be delivered. */
export interface Failure {
  /** The lane. */
  readonly source: string
  readonly target: string
  readonly error: unknown
  /** Times that it was sent to the target. */
  readonly attempts: number
  /** The lane's step that failed, where others had been through with the message: `3/module`. */
  readonly step?: string | undefined
}

export interface DeadLettersInit {
  readonly endpoint: Endpoint
  readonly clock: Clock
  /** The dead-letter endpoint has it: confirmed, where it confirms. Must not throw. */
  readonly onWritten: (entry: OutboxEntry<unknown>) => void
  /** It did not take one, and will be tried again. Must not throw. */
  readonly onRefused: (error: unknown) => void
}

/** Bytes of UTF-16 text, roughly: an error may quote what a peer sent. */
const MAX_ERROR = 1_024

interface Letter {
  /** The lane's own. */
  readonly entry: OutboxEntry<unknown>
  readonly message: Message
}

export class DeadLetters {
  readonly #endpoint: Endpoint
  readonly #dispatcher: Dispatcher<Letter>
  readonly #isPipelined: boolean

  constructor({ endpoint, clock, onWritten, onRefused }: DeadLettersInit) {
    this.#endpoint = endpoint
    this.#isPipelined = isPipelined(endpoint)
    this.#dispatcher = new Dispatcher<Letter>({
      target: endpoint,
      bounds: { messages: Infinity, bytes: Infinity },
      concurrency: DEFAULT_CONCURRENCY,
      retry: DEFAULT_RETRY,
      clock,
      messageOf: ({ message }) => message,
      onDelivered: ({ item }) => onWritten(item.entry),
      mayRetry: (_entry, _fate, error) => {
        onRefused(error)
        return true
      },
      onOver: () => {},
    })
  }

  /** Writes the message of a lane's entry; `onWritten` is called when that has happened, perhaps before this returns. */
  write(entry: OutboxEntry<unknown>, message: Message, failure: Failure): void {
    const letter = new Message({
      source: message.source,
      // The bytes as they are: whatever is wrong with them, it is what people will want to see.
      marshaller: this.#endpoint.marshaller,
      payload: payloadOf(message),
      topic: message.topic,
      key: message.key,
      headers: headersOf(message, failure),
      id: message.id,
      time: message.time,
    })
    const item = { entry, message: letter }
    this.#dispatcher.outbox.push(new OutboxEntry(item, entry.key, entry.size, this.#isPipelined))
    this.#dispatcher.pump()
  }

  close(): void {
    this.#dispatcher.close()
  }
}

/** Empty where there never were any bytes: the application published what cannot be encoded. */
function payloadOf(message: Message): Buffer {
  try {
    return message.payload
  } catch {
    return Buffer.alloc(0)
  }
}

function headersOf(message: Message, { source, target, error, attempts, step }: Failure): Headers {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  const text = reasonOf(error).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
  // Without a prototype, `__proto__` is a name like any other.
  const headers = Object.assign(Object.create(null) as Record<string, string>, message.headers, {
    'araldo-route': source,
    'araldo-target': target,
    'araldo-error-code': typeof code === 'string' ? code : 'ARALDO_ERR_SEND_FAILED',
    'araldo-error': text.slice(0, MAX_ERROR),
    'araldo-attempts': String(attempts),
    'araldo-topic': message.topic,
    'araldo-id': message.id,
  })
  // Its way ends here: sent again, it begins anew, and is delivered where it was not.
  delete headers[HOPS_HEADER]
  if (step === undefined) delete headers[STEP_HEADER]
  else headers[STEP_HEADER] = step
  return headers
}
