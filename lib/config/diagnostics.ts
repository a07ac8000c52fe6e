/**
 * Floor 1. Errors and warnings of a configuration: collected while it is read, each at its place, and given out all at
 * once, in the order of the file.
 */
import { errors } from '../errors.ts'
import { escapeControls } from './words.ts'

/** An error or a warning at its place. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning'
  /** In the words of the config, with no secret in it: `endpoint 'orders': channel: expected text, got 5`. One line. */
  readonly message: string
  /** undefined when the config is an object or text. */
  readonly file?: string
  /** undefined when the config is an object. 1-based. */
  readonly line?: number
  /** 1-based, in UTF-16 code units, as editors count. */
  readonly column?: number
}

/** Like a compiler's: `araldo.yaml:12:7: error: route 'redis_1': no endpoint is named 'redis_1'`. */
export function formatDiagnostic({ file, line, column, severity, message }: Diagnostic): string {
  const name = file ?? (line === undefined ? undefined : '<config>')
  const place = [name, line, column].filter((part) => part !== undefined).join(':')
  return place === '' ? `${severity}: ${message}` : `${place}: ${severity}: ${message}`
}

/** Everything that is wrong with a configuration. Its message lists all of it, one line each. */
export class ConfigError extends errors.CONFIG {
  /** In the order of the file; warnings among them. */
  readonly diagnostics: readonly Diagnostic[]

  /** @param more how many errors were found beyond those that are listed. */
  constructor(diagnostics: readonly Diagnostic[], more = 0) {
    const lines = diagnostics.map(formatDiagnostic)
    if (more > 0) lines.push(`and ${more} more errors`)
    super(lines.join('\n'))
    this.name = 'ConfigError'
    this.diagnostics = diagnostics
  }

  /** The catalogue's errors are known by their code; this one by having diagnostics, which others of its code have not. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(ConfigError, value)
  }
}

/** The text that positions point into. */
export interface Source {
  readonly file: string | undefined
  readonly text: string
}

/** No more errors than this, and no more warnings, are kept; the others are counted. */
const MAX_DIAGNOSTICS = 200

interface Entry {
  readonly severity: Diagnostic['severity']
  readonly message: string
  readonly offset: number | undefined
}

export class Diagnostics {
  /** Where the file's errors are: set once its text is known. */
  source: Source | undefined
  /** The file's name for errors that are about the file as a whole. */
  readonly #file: string | undefined
  readonly #entries: Entry[] = []
  #errors = 0
  #warnings = 0

  constructor(file: string | undefined) {
    this.#file = file
  }

  /** How many errors there are. */
  get errors(): number {
    return this.#errors
  }

  /**
   * @param message one line. Given as a function where it costs something to make: it is not called when there are
   * too many already.
   * @param offset where in the text; undefined for the file as a whole, and for objects.
   */
  error(message: string | (() => string), offset?: number): void {
    if (++this.#errors <= MAX_DIAGNOSTICS) this.#add('error', message, offset)
  }

  warning(message: string | (() => string), offset?: number): void {
    if (++this.#warnings <= MAX_DIAGNOSTICS) this.#add('warning', message, offset)
  }

  /** All of them. */
  toError(): ConfigError {
    return new ConfigError(this.list(), Math.max(0, this.#errors - MAX_DIAGNOSTICS))
  }

  /** In the order of the file. */
  list(): Diagnostic[] {
    const lines = this.source === undefined ? undefined : lineStarts(this.source.text)
    return this.#entries
      .toSorted((a, b) => (a.offset ?? -1) - (b.offset ?? -1))
      .map((entry) => this.#placed(entry, lines))
  }

  #placed({ severity, message, offset }: Entry, lines: readonly number[] | undefined): Diagnostic {
    const diagnostic = { severity, message, ...(this.#file === undefined ? {} : { file: this.#file }) }
    if (lines === undefined || offset === undefined) return diagnostic
    const index = indexOfLine(lines, offset)
    return { ...diagnostic, line: index + 1, column: offset - (lines[index] as number) + 1 }
  }

  #add(severity: Diagnostic['severity'], message: string | (() => string), offset: number | undefined): void {
    this.#entries.push({ severity, message: escapeControls(typeof message === 'string' ? message : message()), offset })
  }
}

/** Offsets of the first character of each line; line breaks are LF, CR LF and CR, as in YAML. */
function lineStarts(text: string): number[] {
  const starts = [0]
  for (const match of text.matchAll(/\r\n|\n|\r/g)) starts.push(match.index + match[0].length)
  return starts
}

/** The last line that starts at or before the offset. */
function indexOfLine(starts: readonly number[], offset: number): number {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] as number) <= offset) low = middle
    else high = middle - 1
  }
  return low
}
