/** Floor 6. What `araldo dlq` was asked for. */
import { UsageError } from '../usage.ts'

export const DEAD_LETTER_OPTIONS = {
  route: { type: 'string' },
  target: { type: 'string' },
  code: { type: 'string' },
  limit: { type: 'string' },
  json: { type: 'boolean' },
  to: { type: 'string' },
  all: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
} as const

type Option = keyof typeof DEAD_LETTER_OPTIONS

/** What `parseArgs` makes of {@link DEAD_LETTER_OPTIONS}. */
export type DeadLetterValues = {
  readonly [Name in Option]?: (typeof DEAD_LETTER_OPTIONS)[Name]['type'] extends 'string' ? string : boolean
}

/** Which letters: all of the given conditions hold. */
export interface LetterFilter {
  readonly route?: string | undefined
  readonly target?: string | undefined
  readonly code?: string | undefined
}

export interface DeadLetterArguments {
  readonly action: 'ls' | 'show' | 'replay'
  /** The stream's endpoint; undefined for the only one that there is. */
  readonly endpoint: string | undefined
  /** Entries of the stream; empty for all that the filter lets pass. */
  readonly ids: readonly string[]
  readonly filter: LetterFilter
  /** undefined for no limit. */
  readonly limit: number | undefined
  readonly json: boolean
  readonly to: string | undefined
  readonly dryRun: boolean
}

const ACTIONS = ['ls', 'show', 'replay'] as const
/** Options that only some actions have. */
const OPTIONS: Readonly<Record<(typeof ACTIONS)[number], readonly Option[]>> = {
  ls: ['route', 'target', 'code', 'limit', 'json'],
  show: ['json'],
  replay: ['route', 'target', 'code', 'limit', 'to', 'all', 'dry-run'],
}
/** An entry's id as Redis has it; no endpoint has such a name. */
const ENTRY_ID = /^\d{1,20}-\d{1,20}$/
const DEFAULT_LIMIT = 100

/** @param positionals what follows `dlq`. Throws {@link UsageError}. */
export function parseDeadLetters(positionals: readonly string[], values: DeadLetterValues): DeadLetterArguments {
  const [name, ...rest] = positionals
  const action = ACTIONS.find((known) => known === name)
  if (action === undefined) {
    const what = name === undefined ? 'it is missing' : `got '${name}'`
    throw new UsageError(`araldo dlq does ls, show or replay: ${what}`)
  }
  for (const option of Object.keys(DEAD_LETTER_OPTIONS) as Option[]) {
    if (values[option] === undefined || OPTIONS[action].includes(option)) continue
    throw new UsageError(`'--${option}' is no option of araldo dlq ${action}`)
  }
  const [first] = rest
  const endpoint = first === undefined || ENTRY_ID.test(first) ? undefined : first
  const ids = endpoint === undefined ? rest : rest.slice(1)
  checkIds(action, ids, values)
  const { route, target, code, json = false, to, 'dry-run': dryRun = false } = values
  const limit = values.limit === undefined ? undefined : limitOf(values.limit)
  return {
    action,
    endpoint,
    ids,
    filter: { route, target, code },
    limit: limit ?? (action === 'ls' ? DEFAULT_LIMIT : undefined),
    json,
    to,
    dryRun,
  }
}

function checkIds(action: string, ids: readonly string[], { all, route, target, code }: DeadLetterValues): void {
  const wrong = ids.find((id) => !ENTRY_ID.test(id))
  if (wrong !== undefined) throw new UsageError(`'${wrong}' is no entry's id: araldo dlq ls shows them`)
  if (action === 'ls' && ids.length > 0) throw new UsageError('araldo dlq ls takes no ids: araldo dlq show has one')
  if (action === 'show' && ids.length !== 1) throw new UsageError('araldo dlq show takes the id of one entry')
  if (action !== 'replay') return
  const chosen = [all, route, target, code].some((value) => value !== undefined)
  if (ids.length === 0 && !chosen) {
    throw new UsageError('araldo dlq replay takes ids, a filter (--route, --target, --code), or --all')
  }
  if (ids.length > 0 && chosen) throw new UsageError('araldo dlq replay takes ids, or a filter or --all, not both')
}

function limitOf(text: string): number {
  const limit = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(limit) && limit > 0) return limit
  throw new UsageError(`'--limit' takes a whole number of letters, at least 1; got '${text}'`)
}
