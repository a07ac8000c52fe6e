/** Floor 3. Rows of a table as messages, and the statements that read and settle them. */
import type { MessageInit } from '../../message.ts'
import { type Attributes, AttributesReader } from '../common/attributes.ts'
import type { Row } from './session.ts'
import { slotOf } from './slots.ts'
import { isBytes, type Table, timeToText } from './table.ts'

/** What a row says of its message, and what the reader needs of it. */
export interface ReadRow {
  readonly id: string
  readonly slot: number
  readonly size: number
  /** Rows that could have been read, those that were too large for the room among them. */
  readonly found: number
  readonly content: Pick<MessageInit, 'id' | 'key' | 'topic' | 'time' | 'headers'> & { readonly payload: Buffer }
}

/** An id is no longer (characters): one that is, is not the relay's, and the row's own is used. */
const MAX_ID = 1_024

export interface ReadStatements {
  /** Parameters: ids that are in hand, how many rows, how many bytes. */
  readonly all: string
  /** The same, and the slots, as the fourth. */
  readonly some: string
  /** Parameter: ids. */
  readonly settle: string
}

/**
 * Rows are always read from the oldest on, without those in hand: transactions end in another order than ids are drawn,
 * and one that comes late must not be missed. Bytes are counted as they are stored, before any of them is read.
 * @param marks whether rows are marked as settled, not deleted.
 */
export function readStatements(table: Table, marks: boolean): ReadStatements {
  const [id, payload] = [table.required('id'), table.required('payload')]
  const key = table.column('key')
  const slot = slotOf(id.sql, key?.sql)
  const text = (part: 'key' | 'topic' | 'headers' | 'message-id'): string => {
    const column = table.column(part)
    return column === undefined ? 'NULL' : `${column.sql}::text`
  }
  const time = table.column('time')
  const columns = [
    `${id.sql} AS a_id`,
    `${slot} AS a_slot`,
    `${payload.sql} AS a_payload`,
    `${text('key')} AS a_key`,
    `${text('topic')} AS a_topic`,
    `${text('headers')} AS a_headers`,
    `${text('message-id')} AS a_message_id`,
    `${time === undefined ? 'NULL' : timeToText(time)} AS a_time`,
  ].join(', ')
  const settled = marks ? `${table.required('settled').sql} IS NULL AND ` : ''
  const page = (condition: string): string =>
    `SELECT ${columns} FROM ${table.sql} WHERE ${settled}${id.sql} <> ALL($1::${id.type}[])${condition} ` +
    `ORDER BY ${id.sql} LIMIT $2`
  const bounded = (rows: string): string =>
    `SELECT a_id::text, a_slot::text, ${isBytes(payload) ? 'a_payload' : 'a_payload::text'}, a_key, a_topic, a_headers, ` +
    'a_message_id, a_time, a_found::text FROM (SELECT *, count(*) OVER () AS a_found, ' +
    'sum(pg_column_size(a_payload)) OVER (ORDER BY a_id ROWS UNBOUNDED PRECEDING) - pg_column_size(a_payload) AS a_before ' +
    `FROM (${rows}) AS page) AS sized WHERE a_before < $3::bigint ORDER BY sized.a_id`
  const bySlot = page(` AND ${slot} = araldo_slots.slot`)
  return {
    all: bounded(page('')),
    some: bounded(
      `SELECT each.* FROM unnest($4::int[]) AS araldo_slots(slot) CROSS JOIN LATERAL (${bySlot}) AS each ORDER BY each.a_id LIMIT $2`,
    ),
    settle: marks
      ? `UPDATE ${table.sql} SET ${table.required('settled').sql} = now() WHERE ${id.sql} = ANY($1::${id.type}[])`
      : `DELETE FROM ${table.sql} WHERE ${id.sql} = ANY($1::${id.type}[])`,
  }
}

/** @param name the table's, as the config has it: the topic of a row that says none. */
export function readRow(row: Row, name: string): ReadRow {
  const [id, slot, payload, key, topic, headers, messageId, time, found] = row
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(textOf(payload) ?? '')
  const json = textOf(headers)
  const attributes = attributesIn(json)
  const ownId = textOf(messageId) ?? attributes.id
  const content = {
    payload: bytes,
    id: ownId === undefined || ownId === '' || ownId.length > MAX_ID ? `${name}:${String(id)}` : ownId,
    key: textOf(key) ?? attributes.key,
    topic: textOf(topic) ?? name,
    time: timeFrom(textOf(time)) ?? attributes.time,
    headers: attributes.headers,
  }
  return { id: String(id), slot: Number(slot), size: bytes.length + (json?.length ?? 0), found: Number(found), content }
}

function textOf(value: Row[number] | undefined): string | undefined {
  return value === null || value === undefined ? undefined : String(value)
}

/** What is no text in it is written as JSON; what is no object has no headers. */
function attributesIn(json: string | undefined): Attributes {
  const attributes = new AttributesReader()
  const table = json === undefined ? undefined : tableOf(json)
  for (const name in table) {
    const value = table[name]
    attributes.add(name, typeof value === 'string' ? value : JSON.stringify(value))
  }
  return attributes
}

function tableOf(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function timeFrom(text: string | undefined): number | undefined {
  const time = text === undefined ? NaN : Math.floor(Number(text))
  return Math.abs(time) <= 8.64e15 ? time : undefined
}
