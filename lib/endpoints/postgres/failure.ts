/**
 * Floor 3. What an error of PostgreSQL means, by its SQLSTATE and never by its text.
 *
 * Source: PostgreSQL, Appendix A, "PostgreSQL Error Codes".
 */
import { oneLine } from '../../config/words.ts'
import { reasonOf } from '../../errors.ts'

/**
 * - `data`: this message's own doing, for good: a value that the column does not take, a constraint, a size.
 * - `place`: the table, a column or a right is missing, or the server only reads: no message will do, until somebody has
 *   set it right. A slip of a deployment more often than not, so that messages wait for that.
 * - `passing`: no memory, no connection, a deadlock, a timeout: may do the next time.
 */
export type Kind = 'data' | 'place' | 'passing'

/** 22 data exception, 23 integrity constraint violation, 21 cardinality, 44 WITH CHECK OPTION, 54 limit exceeded. */
const DATA = new Set(['21', '22', '23', '44', '54'])
/** 42 syntax, rights, what is not there; 3D, 3F no such database, schema; 0A not supported; 25 read-only; 28 who is it. */
const PLACE = new Set(['0A', '25', '28', '3D', '3F', '42'])

/** The server's answer, as against a connection that is gone: it has a SQLSTATE. */
export function sqlState(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as Error) ? code : undefined
}

export function kindOf(error: unknown): Kind {
  const group = sqlState(error)?.slice(0, 2)
  if (group === undefined) return 'passing'
  if (DATA.has(group)) return 'data'
  return PLACE.has(group) ? 'place' : 'passing'
}

/** In words for people: the message, not the detail, which repeats whole rows. */
export function plainError(error: unknown): Error {
  const state = sqlState(error)
  const reason = oneLine(reasonOf(error))
  return new Error(state === undefined ? reason : `${reason} (${state})`, { cause: error })
}
