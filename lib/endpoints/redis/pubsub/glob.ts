/** Floor 3. What PSUBSCRIBE matches: Redis' glob patterns. Source: `stringmatchlen` in Redis' util.c. */

/** Whether a pattern matches a channel. */
export function matches(pattern: string, channel: string): boolean {
  return expressionOf(pattern).test(channel)
}

/** What every channel that the pattern matches begins with. */
export function literalPrefix(pattern: string): string {
  return pattern.slice(0, pattern.search(/[*?[\\]|$/))
}

function expressionOf(pattern: string): RegExp {
  let source = ''
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index] as string
    if (character === '*') source += '[^]*'
    else if (character === '?') source += '[^]'
    else if (character === '[') {
      const { members, end } = classAt(pattern, index + 1)
      source += `[${members}]`
      index = end
    } else {
      if (character === '\\' && index + 1 < pattern.length) index++
      source += literal(pattern[index] as string)
    }
  }
  return new RegExp(`^${source}$`)
}

/** What stands in brackets, and where they end: at the pattern's end, if they are not closed. */
function classAt(pattern: string, start: number): { members: string; end: number } {
  const isNegated = pattern[start] === '^'
  let members = isNegated ? '^' : ''
  let index = isNegated ? start + 1 : start
  for (; index < pattern.length && pattern[index] !== ']'; index++) {
    if (pattern[index] === '\\' && index + 1 < pattern.length) members += literal(pattern[++index] as string)
    else if (pattern[index + 1] === '-' && index + 2 < pattern.length) {
      const [from, to] = [pattern[index] as string, pattern[index + 2] as string].toSorted() as [string, string]
      members += `${literal(from)}-${literal(to)}`
      index += 2
    } else members += literal(pattern[index] as string)
  }
  return { members, end: index }
}

function literal(character: string): string {
  return /[\w\s]/.test(character) ? character : `\\${character}`
}
