/** Floor 3. A table as the server describes it, and the statements that are made for it: once a connection. */
import { identifier, parseTable, qualified } from './names.ts'
import { type ColumnOptions, columnsOf, type PostgresOptions } from './options.ts'
import type { Session } from './session.ts'

/** What a column is for. */
export type Part = keyof ColumnOptions

export interface Column {
  /** As it stands in SQL. */
  readonly sql: string
  /** As it stands in a cast: `character varying(64)`. */
  readonly type: string
}

export interface Table {
  /** As it stands in SQL. */
  readonly sql: string
  /** `schema.table`, however the config has it: the same for all who use the table. */
  readonly id: string
  /** undefined for what the config says that there is no column for. */
  column(part: Part): Column | undefined
  /** @throws Error where the config has none: only for those that it must have. */
  required(part: 'id' | 'payload' | 'settled'): Column
}

const DESCRIBE = `SELECT format('%I.%I', n.nspname, c.relname), a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = to_regclass($1)`

/**
 * @param name as the config has it.
 * @param parts the columns that are needed.
 * @throws Error that says what is missing.
 */
export async function describeTable(
  session: Session,
  name: string,
  options: Pick<PostgresOptions, 'columns'>,
  parts: readonly Part[],
): Promise<Table> {
  const sql = qualified(parseTable(name))
  const rows = await session.query(DESCRIBE, [sql])
  if (rows.length === 0) {
    throw new Error(`there is no table ${sql}, or no right to see it: make it, or say 'create: true'`)
  }
  const types = new Map(rows.map(([, column, type]) => [String(column), String(type)]))
  const names = columnsOf(options)
  const columns = new Map<Part, Column>()
  for (const part of parts) {
    const column = names[part]
    if (column === false) continue
    const type = types.get(column)
    if (type === undefined) {
      const without = part === 'id' || part === 'payload' || part === 'settled' ? '' : `, or 'columns: ${part}: false'`
      throw new Error(`${sql} has no column ${identifier(column)}: say 'columns: ${part}: …'${without}`)
    }
    columns.set(part, { sql: identifier(column), type })
  }
  return {
    sql,
    id: String(rows[0]?.[0]),
    column: (part) => columns.get(part),
    required: (part) => {
      const column = columns.get(part)
      if (column === undefined) throw new Error(`no column for ${part}`)
      return column
    },
  }
}

/** Milliseconds since 1970 in a column of time. */
export function timeToText({ sql, type }: Column): string {
  return type.startsWith('timestamp') ? `floor(extract(epoch FROM ${sql}) * 1000)::bigint::text` : `${sql}::text`
}

/** A time in a column, of milliseconds since 1970. */
export function timeOf({ type }: Column, milliseconds: string): string {
  const time = `to_timestamp(${milliseconds}::double precision / 1000)`
  if (type.startsWith('timestamp')) return type.endsWith('without time zone') ? `${time} AT TIME ZONE 'UTC'` : time
  return `${milliseconds}::${type}`
}

export function isBytes({ type }: Column): boolean {
  return type === 'bytea'
}
