/** Floor 3. XADD: as a command of ioredis that ends in a call, and what its errors mean. */
import { Command } from 'ioredis'
import { quote } from '../../../config/words.ts'
import { errors } from '../../../errors.ts'
import { Listed } from '../../../list.ts'
import type { Settle } from '../../../types.ts'
import { plainError } from '../client.ts'
import type { Sender } from '../sender.ts'

/** One entry to write. */
export interface AdditionInit {
  readonly stream: string
  /** How the stream is trimmed: `['MAXLEN', '~', '1000']`. */
  readonly trim: readonly string[]
  /** Name, value, name, value … */
  readonly fields: readonly (string | Buffer)[]
  /** Of the fields. */
  readonly bytes: number
  readonly sender: Sender
  readonly settle: Settle
}

/** One that no answer has come for. */
export class Addition extends Listed {
  readonly init: AdditionInit

  constructor(init: AdditionInit) {
    super()
    this.init = init
  }
}

/** Is told of the end of each. */
export interface Adder {
  /** @param error the server's, or why there is no answer; undefined where it was written. */
  answered(addition: Addition, error: unknown): void
}

/** Bytes of the fields. */
export function bytesOf(fields: readonly (string | Buffer)[]): number {
  let bytes = 0
  for (const field of fields) bytes += typeof field === 'string' ? Buffer.byteLength(field) : field.length
  return bytes
}

/** A command of ioredis whose answer ends in a call, not in a promise; and which writes itself with fewer copies. */
export class Add extends Command {
  readonly addition: Addition
  readonly adder: Adder

  constructor(addition: Addition, adder: Adder) {
    super('xadd')
    this.addition = addition
    this.adder = adder
    this.resolve = onAnswer
    this.reject = onError
    // Tracing would wait for that promise.
    this.isTraced = true
  }

  /** `XADD stream … * name value …` as RESP has it: an array of bulk strings. */
  override toWritable(): Buffer {
    const { stream, trim, fields } = this.addition.init
    let text = `*${3 + trim.length + fields.length}\r\n$4\r\nXADD\r\n${bulk(stream)}`
    for (const word of trim) text += bulk(word)
    text += '$1\r\n*\r\n'
    const parts: (string | Buffer)[] = []
    let length = 0
    for (const field of fields) {
      if (typeof field === 'string') {
        text += bulk(field)
        continue
      }
      text += `$${field.length}\r\n`
      parts.push(text, field)
      length += Buffer.byteLength(text) + field.length
      text = '\r\n'
    }
    parts.push(text)
    const bytes = Buffer.allocUnsafe(length + Buffer.byteLength(text))
    let offset = 0
    for (const part of parts) {
      offset += typeof part === 'string' ? bytes.write(part, offset) : part.copy(bytes, offset)
    }
    return bytes
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`
}

// Command makes a promise for each, which nobody would look at here: a third of what a command costs. An ioredis that calls
// it otherwise makes it, and it stays open.
Object.defineProperty(Add.prototype, 'initPromise', { value: () => {} })

function onAnswer(this: Add): void {
  this.adder.answered(this.addition, undefined)
}

function onError(this: Add, error: Error): void {
  this.adder.answered(this.addition, error)
}

/**
 * What an error reply to XADD means for the message. That a key holds no stream is a matter of the topic, and stays so.
 * All else is the server's state, and may pass: no memory, no disk, no master, no right of the user.
 */
export function refusalOf(error: Error, endpoint: string, stream: string): Error {
  const { message } = plainError(error)
  return message.startsWith('WRONGTYPE')
    ? new errors.TOPIC_INVALID(endpoint, `the key ${quote(stream)} holds no stream`)
    : new errors.SEND_FAILED(endpoint, message)
}
