/**
 * Floor 3. Makes what is missing of a table: the table, the index that slots are read by, the trigger that says that
 * there are new rows. What is there already is left as it is.
 */
import { wakeChannelOf } from './checks.ts'
import { identifier, literal, parseTable, qualified } from './names.ts'
import { columnsOf, type PostgresOptions } from './options.ts'
import type { Session } from './session.ts'
import { slotOf } from './slots.ts'

/** One relay at a time makes things: two at once would fail on each other. */
const LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('araldo create', 0))"

interface Wanted {
  /** As the config has it. */
  readonly name: string
  /** As it stands in SQL. */
  readonly table: string
  readonly columns: PostgresOptions['columns']
  /** It is read from: the channel that its trigger wakes, and whether rows are marked. */
  readonly outbox: { readonly wakeChannel: string; readonly marks: boolean } | undefined
}

/**
 * @param name the outbox of the options, or their table.
 * @throws Error of the server's.
 */
export async function createTable(session: Session, name: string, options: PostgresOptions): Promise<void> {
  const outbox = { wakeChannel: wakeChannelOf(options), marks: options['on-settled'] === 'mark' }
  const wanted: Wanted = {
    name,
    table: qualified(parseTable(name)),
    columns: options.columns,
    outbox: name === options.outbox ? outbox : undefined,
  }
  if ((await missing(session, wanted)).length === 0) return
  await session.query('BEGIN')
  try {
    await session.query(LOCK)
    // Somebody may have made it meanwhile.
    for (const statement of await missing(session, wanted)) await session.query(statement)
    await session.query('COMMIT')
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** What makes what is missing. */
async function missing(session: Session, wanted: Wanted): Promise<string[]> {
  const { table, outbox } = wanted
  const [row] = await session.query('SELECT to_regclass($1) IS NULL', [table])
  const statements = row?.[0] === 't' ? tableStatements(wanted) : []
  if (outbox === undefined || (await hasTrigger(session, table))) return statements
  return [...statements, ...triggerStatements(wanted, outbox.wakeChannel)]
}

async function hasTrigger(session: Session, table: string): Promise<boolean> {
  const triggers = await session.query(
    "SELECT FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = 'araldo_wake'",
    [table],
  )
  return triggers.length > 0
}

function tableStatements({ columns, outbox, table }: Wanted): string[] {
  const names = columnsOf({ columns })
  const lines = [`${identifier(names.id)} bigserial PRIMARY KEY`]
  if (names['message-id'] !== false) lines.push(`${identifier(names['message-id'])} text UNIQUE`)
  for (const part of ['topic', 'key'] as const) {
    const name = names[part]
    if (name !== false) lines.push(`${identifier(name)} text`)
  }
  if (names.headers !== false) lines.push(`${identifier(names.headers)} jsonb`)
  lines.push(`${identifier(names.payload)} bytea NOT NULL`)
  if (names.time !== false) lines.push(`${identifier(names.time)} timestamptz NOT NULL DEFAULT now()`)
  if (outbox?.marks === true) lines.push(`${identifier(names.settled)} timestamptz`)
  const statements = [`CREATE TABLE ${table} (${lines.join(', ')})`]
  if (outbox !== undefined) {
    const [id, key] = [identifier(names.id), names.key === false ? undefined : identifier(names.key)]
    const where = outbox.marks ? ` WHERE ${identifier(names.settled)} IS NULL` : ''
    statements.push(`CREATE INDEX ON ${table} (${slotOf(id, key)}, ${id})${where}`)
    if (outbox.marks) statements.push(`CREATE INDEX ON ${table} (${id})${where}`)
  }
  return statements
}

/** The function is one for all tables of a schema: the trigger hands it the channel. */
function triggerStatements({ name, table }: Wanted, channel: string): string[] {
  const { schema } = parseTable(name)
  const wake = qualified({ schema, name: 'araldo_wake' })
  return [
    `CREATE OR REPLACE FUNCTION ${wake}() RETURNS trigger LANGUAGE plpgsql AS ` +
      "'BEGIN PERFORM pg_notify(TG_ARGV[0], ''''); RETURN NULL; END'",
    `CREATE TRIGGER araldo_wake AFTER INSERT ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION ${wake}(${literal(channel)})`,
  ]
}
