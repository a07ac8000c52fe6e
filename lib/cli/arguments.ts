/** Floor 6. The command line: what was asked for, or what is wrong with the asking. */
import { parseArgs } from 'node:util'
import { type DeadLetterArguments, DEAD_LETTER_OPTIONS, parseDeadLetters } from './dlq/arguments.ts'
import { UsageError } from './usage.ts'

export const USAGE = `araldo: a relay between browsers and message brokers, and between brokers

Usage
  araldo [-c PATH]         run the relay that the config declares
  araldo check [-c PATH]   validate the config; print endpoints, routes and capabilities
  araldo diff OLD NEW      print what a reload from the one config to the other would change
  araldo schema            print the config's JSON Schema, for editors
  araldo dlq ls [ENDPOINT]                  list the dead letters that a Redis stream keeps
  araldo dlq show [ENDPOINT] ID             print one: why it failed, headers, payload
  araldo dlq replay [ENDPOINT] ID…|--all    deliver them again; what is delivered leaves the stream

Options
  -c, --config=PATH        the config (default: araldo.yaml in the current folder)
  -h, --help               print this
      --version            print araldo's version

Options of dlq (ENDPOINT may be left out where the config has one stream of dead letters)
      --route=SOURCE       only those that came in at this endpoint
      --target=NAME        only those that were for this endpoint
      --code=CODE          only those that failed for this error: ARALDO_ERR_TOO_LARGE
      --limit=N            ls, replay: at most so many, oldest first (ls: 100)
      --json               ls, show: a JSON object a line, payloads in base64
      --to=NAME            replay: to this endpoint, not to the one that they were for
      --dry-run            replay: say what would be delivered where, and deliver nothing

SIGHUP makes a running relay read its config again. Exit codes: 0 as asked, 1 it could not be done, 2 the command line
makes no sense; of diff: 0 no difference, 1 differences, 2 trouble.
`

const COMMANDS = ['run', 'check', 'diff', 'schema', 'dlq'] as const
type CommandName = (typeof COMMANDS)[number]

export type Arguments =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'diff'; readonly before: string; readonly after: string }
  | ({ readonly kind: 'dlq'; readonly config: string } & DeadLetterArguments)
  | { readonly kind: Exclude<CommandName, 'diff' | 'dlq'>; readonly config: string }

/** @param argv what follows the program's name. Throws {@link UsageError}. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { values, positionals } = parse(argv)
  if (values.help === true) return { kind: 'help' }
  if (values.version === true) return { kind: 'version' }
  const [name = 'run', ...rest] = positionals
  const command = COMMANDS.find((known) => known === name)
  if (command === undefined) {
    throw new UsageError(`no command is named '${name}'${hint('araldo', name)}`)
  }
  const config = values.config ?? 'araldo.yaml'
  if (command === 'dlq') return { kind: command, config, ...parseDeadLetters(rest, values) }
  const stray = Object.keys(DEAD_LETTER_OPTIONS).find((option) => option in values)
  if (stray !== undefined) throw new UsageError(`'--${stray}' is an option of araldo dlq`)
  if (command === 'diff') return parseDiff(rest, values.config)
  const [more] = rest
  if (more !== undefined) throw new UsageError(`'${more}' is one argument too many${hint(`araldo ${name}`, more)}`)
  return { kind: command, config }
}

function parseDiff(paths: readonly string[], config: string | undefined): Arguments {
  const [before, after, more] = paths
  if (config !== undefined) throw new UsageError('diff takes its two configs without -c: araldo diff OLD NEW')
  if (before === undefined || after === undefined) throw new UsageError('diff takes two configs: araldo diff OLD NEW')
  if (more !== undefined) throw new UsageError(`'${more}' is one argument too many: araldo diff OLD NEW`)
  return { kind: 'diff', before, after }
}

/** For who leaves the -c out. */
function hint(command: string, argument: string): string {
  return /\.ya?ml$/.test(argument) ? `; a config is named with -c: ${command} -c ${argument}` : ''
}

function parse(argv: readonly string[]): ReturnType<typeof strictly> {
  try {
    return strictly(argv)
  } catch (error) {
    // Node's messages go on for sentences about how to pass such a value all the same.
    throw new UsageError((error as Error).message.split('. ')[0])
  }
}

function strictly(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
      ...DEAD_LETTER_OPTIONS,
    },
  })
}
