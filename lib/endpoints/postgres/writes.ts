/** Floor 3. Messages as what is written of them: a NOTIFY, or a row. */
import { isUtf8 } from 'node:buffer'
import { quote } from '../../config/words.ts'
import { errors } from '../../errors.ts'
import type { Marshaller, Message } from '../../message.ts'
import { compileTemplate, type Template } from '../../template.ts'
import type { Settle } from '../../types.ts'
import { CONTENT_TYPE, contentTypeOf, ID, KEY, TIME } from '../common/attributes.ts'
import type { Element } from './arrays.ts'
import { Write } from './batcher.ts'
import { nameProblem } from './names.ts'
import type { PostgresOptions } from './options.ts'
import { isBytes, type Part, type Table, timeOf } from './table.ts'

/** A payload of NOTIFY must be shorter than 8,000 bytes. Source: PostgreSQL, NOTIFY. */
export const MAX_NOTIFY = 7_999
/** A message that is sent to a table is no larger (bytes): a statement has less than a GiB, and bytes are hex in it. */
export const MAX_PAYLOAD = 256 * 1024 * 1024

/** Parameters: channels, payloads. In the order of the arrays: NOTIFYs of one transaction come in the order given. */
export const NOTIFY = 'SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS sent(channel, payload)'
export const NOTIFIED: readonly Element[] = ['text', 'text']

/** Throws what refuses a message. */
export type ToWrite = (message: Message, settle: Settle) => Write

/** @throws ExpressionError with the offset in the text. */
export function compileTopic(text: string, endpoint: string): Template {
  return compileTemplate(text, { what: endpoint })
}

export function notifier({ topic, channel = '' }: PostgresOptions, marshaller: Marshaller, endpoint: string): ToWrite {
  const template = topic === undefined ? undefined : compileTopic(topic, endpoint)
  return (message, settle) => {
    const to = template === undefined ? channel : channelOf(template.render(message), endpoint)
    const bytes = message.encode(marshaller)
    if (bytes.length > MAX_NOTIFY) throw new errors.TOO_LARGE(endpoint, MAX_NOTIFY, bytes.length)
    const payload = textOf(bytes, message, endpoint)
    // Of two that are the same, one transaction sends one.
    const identity = `${to}\0${payload}`
    return new Write({ id: message.id, values: [to, payload], bytes: bytes.length, identity, settle })
  }
}

function channelOf(name: string, endpoint: string): string {
  const problem = nameProblem(name)
  if (problem !== undefined) throw new errors.TOPIC_INVALID(endpoint, `the channel ${quote(name)} ${problem}`)
  return name
}

function textOf(bytes: Buffer, { id }: Message, endpoint: string): string {
  if (!isUtf8(bytes)) throw new errors.REFUSED(endpoint, id, 'the payload is no UTF-8, which it is kept as here')
  if (bytes.includes(0))
    throw new errors.REFUSED(endpoint, id, 'the payload holds a NUL, which no text of PostgreSQL may')
  return bytes.toString()
}

const PARTS = ['message-id', 'topic', 'key', 'headers', 'payload', 'time'] as const

/** The columns that a target writes. */
export const WRITTEN: readonly Part[] = PARTS

/** Parameters: an array for each of the table's columns, in the order of {@link PARTS}. */
export function insertStatement(table: Table, deduplicate: boolean): string {
  const there = PARTS.flatMap((part) => {
    const column = table.column(part)
    return column === undefined ? [] : [{ part, column }]
  })
  const names = there.map((_, index) => `v${index}`)
  const arrays = there.map(({ column }, index) => `$${index + 1}::${isBytes(column) ? 'bytea' : 'text'}[]`)
  const values = there.map(({ part, column }, index) => {
    if (part === 'time') return timeOf(column, names[index] as string)
    return isBytes(column) ? names[index] : `${names[index]}::${column.type}`
  })
  const columns = there.map(({ column }) => column.sql).join(', ')
  const messageId = table.column('message-id')
  const conflict = deduplicate && messageId !== undefined ? ` ON CONFLICT (${messageId.sql}) DO NOTHING` : ''
  return (
    `INSERT INTO ${table.sql} (${columns}) SELECT ${values.join(', ')} ` +
    `FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS sent(${names.join(', ')}, place) ORDER BY place${conflict}`
  )
}

/** What the arrays that the statement takes are of. */
export function elementsOf(table: Table): readonly Element[] {
  return PARTS.flatMap((part) => {
    const column = table.column(part)
    if (column === undefined) return []
    return [isBytes(column) ? 'bytea' : 'text']
  })
}

export function inserter(table: Table, marshaller: Marshaller, endpoint: string): ToWrite {
  const parts = PARTS.filter((part) => table.column(part) !== undefined)
  const holdsBytes = isBytes(table.required('payload'))
  const headersIn = headerWriter(table, marshaller, endpoint)
  return (message, settle) => {
    const bytes = message.encode(marshaller)
    if (bytes.length > MAX_PAYLOAD) throw new errors.TOO_LARGE(endpoint, MAX_PAYLOAD, bytes.length)
    const headers = parts.includes('headers') ? headersIn(message) : null
    const all: Record<(typeof PARTS)[number], string | Buffer | null> = {
      'message-id': message.id,
      topic: message.topic,
      key: message.key ?? null,
      headers,
      payload: holdsBytes ? bytes : textOf(bytes, message, endpoint),
      time: String(message.time),
    }
    for (const part of ['message-id', 'topic', 'key'] as const) {
      if (String(all[part] ?? '').includes('\0'))
        throw new errors.REFUSED(endpoint, message.id, `its ${part} holds a NUL`)
    }
    const size = bytes.length + (headers?.length ?? 0) + message.topic.length + message.id.length
    return new Write({ id: message.id, values: parts.map((part) => all[part]), bytes: size, settle })
  }
}

/** Frozen headers are those of many messages: where nothing of each is among them, their JSON is made once. */
function headerWriter(table: Table, marshaller: Marshaller, endpoint: string): (message: Message) => string {
  const areShared = (['message-id', 'key', 'time'] as const).every((part) => table.column(part) !== undefined)
  let last: { readonly of: Message['headers']; readonly from: Marshaller; readonly json: string } | undefined
  return (message) => {
    const { headers, marshaller: from } = message
    if (last?.of === headers && last.from === from) return last.json
    const json = headersOf(message, marshaller, table, endpoint)
    if (areShared && Object.isFrozen(headers)) last = { of: headers, from, json }
    return json
  }
}

/** As JSON; what there is no column for is among them. */
function headersOf(message: Message, marshaller: Marshaller, table: Table, endpoint: string): string {
  const headers = Object.assign(Object.create(null) as Record<string, string>, message.headers)
  headers[CONTENT_TYPE] = contentTypeOf(message, marshaller)
  if (table.column('message-id') === undefined) headers[ID] = message.id
  if (table.column('key') === undefined && message.key !== undefined) headers[KEY] = message.key
  if (table.column('time') === undefined) headers[TIME] = String(message.time)
  for (const name in headers) {
    const value = headers[name] as string
    if (!name.includes('\0') && !value.includes('\0')) continue
    throw new errors.HEADER_INVALID(endpoint, `${quote(name)} holds a NUL, which no text of PostgreSQL may`)
  }
  return JSON.stringify(headers)
}
