/**
 * Floor 3. Names of tables, columns and channels, and how they stand in SQL. Nothing but what comes out of here is ever
 * put into a statement: data is bound.
 *
 * Source: PostgreSQL, "Identifiers and Key Words" and "String Constants".
 */

/** Bytes of an identifier (NAMEDATALEN - 1): the server cuts longer ones, or refuses them. */
export const MAX_NAME = 63

/** A table, by its own name and its schema's. */
export interface TableName {
  /** undefined: the first of the server's search path that has it. */
  readonly schema: string | undefined
  readonly name: string
}

const PART = /"(?:[^"]|"")+"|[^".]+/.source
const TABLE = new RegExp(`^(?:(${PART})\\.)?(${PART})$`)

/**
 * `orders`, `sales.orders`, `"a.b"."c ""d"""`. Names are taken as they are written: capitals stay capitals.
 * @throws Error that says how to write it.
 */
export function parseTable(text: string): TableName {
  const [, schema, name] = TABLE.exec(text) ?? []
  if (name === undefined) throw new Error('is no name of a table: write orders, sales.orders or "sales"."orders"')
  return { schema: schema === undefined ? undefined : unquoted(schema), name: unquoted(name) }
}

function unquoted(part: string): string {
  const name = part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part
  const problem = nameProblem(name)
  if (problem !== undefined) throw new Error(problem)
  return name
}

/** Why this can be no identifier and no channel; undefined where it can. */
export function nameProblem(name: string): string | undefined {
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes > MAX_NAME) return `has ${bytes} bytes, and must have 1 to ${MAX_NAME}`
  return name.includes('\0') ? 'holds a NUL' : undefined
}

/** `a "b"` as `"a ""b"""`. Without a NUL: {@link nameProblem}. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The table as it stands in SQL. */
export function qualified({ schema, name }: TableName): string {
  return schema === undefined ? identifier(name) : `${identifier(schema)}.${identifier(name)}`
}

/** A string constant that means the same whatever `standard_conforming_strings` is. Without a NUL. */
export function literal(text: string): string {
  const quoted = text.replaceAll("'", "''")
  return text.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}
