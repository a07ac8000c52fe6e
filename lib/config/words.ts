/**
 * Floor 1. How the configuration speaks to people: one line per error, whatever stood in the file, and the nearest
 * name where a name is unknown.
 */

/** What is quoted of a file is cut after this many characters. */
const MAX_QUOTED = 60
/** Lists of names are cut after this many. */
const MAX_LISTED = 20
/** More than this many candidates for "did you mean" are not looked at: time stays bounded. */
const MAX_CANDIDATES = 1000

/** Text from a file or a peer, safe to print: one line, no control characters, capped, in single quotes. */
export function quote(text: string): string {
  const capped = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text
  return `'${escapeControls(capped)}'`
}

/** A message of somebody else's, as part of a line of ours. */
export function oneLine(text: string): string {
  const line = escapeControls(text.replace(/\s*[\r\n]+\s*/g, ' ').trim())
  return line.length > 500 ? `${line.slice(0, 500)}…` : line
}

/** Without what a terminal obeys or hides: one line. */
export function escapeControls(text: string): string {
  // Controls; what is invisible; the overrides of direction, which reorder a terminal's line; the line separators.
  return text.replace(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`; a long list is cut. */
export function oneOf(words: readonly string[], conjunction = 'or'): string {
  const quoted = words.slice(0, MAX_LISTED).map(quote)
  if (words.length > MAX_LISTED) return `${quoted.join(', ')} ${conjunction} ${words.length - MAX_LISTED} more`
  if (quoted.length < 2) return quoted.join('')
  return `${quoted.slice(0, -1).join(', ')} ${conjunction} ${quoted.at(-1)}`
}

/** `; did you mean 'redis_2'?`, or nothing where no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates)
  return found === undefined ? '' : `; did you mean ${quote(found)}?`
}

/**
 * The first candidate that begins with the word or is it but for a prefix (`mock`: `endpoint-mock`), or the first of
 * those that are fewest edits away, if that is near.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase()
  let best: string | undefined
  // What comes before a dash is often the same for all: `endpoint-kafka` is no slip of `endpoint-mock`.
  const own = wanted.slice(wanted.lastIndexOf('-') + 1)
  let limit = wanted.length < 2 ? 0 : Math.min(4, Math.max(1, Math.floor(own.length / 3)))
  let looked = 0
  for (const candidate of candidates) {
    if (candidate === word) continue
    if (++looked > MAX_CANDIDATES) break
    const known = candidate.toLowerCase()
    if (wanted.length >= 3 && (known.startsWith(wanted) || known.endsWith(`-${wanted}`))) return candidate
    if (Math.abs(known.length - wanted.length) > limit) continue
    const distance = edits(wanted, known)
    if (distance > limit || (best !== undefined && distance === limit)) continue
    best = candidate
    limit = distance
  }
  return best
}

/** Optimal string alignment: how many insertions, deletions, replacements and swaps of neighbours apart two words are. */
export function edits(from: string, to: string): number {
  let before: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      let cost = Math.min(
        (previous[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (previous[column - 1] as number) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        cost = Math.min(cost, (before[column - 2] as number) + 1)
      }
      current.push(cost)
    }
    before = previous
    previous = current
  }
  return previous[to.length] as number
}

/** `global: server-port: `; nothing for the config as a whole. */
export function pathWords(path: readonly string[]): string {
  return path
    .map((key) => (/^[\w.-]+( \d+)?$/.test(key) && key.length <= MAX_QUOTED ? `${key}: ` : `${quote(key)}: `))
    .join('')
}
