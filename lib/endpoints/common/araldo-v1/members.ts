/**
 * Floor 3. The members of a JSON object (RFC 8259), found without parsing their values: each value is the part of the
 * text that it stands in, so that a body passes on byte for byte, and is decoded once, by its marshaller.
 *
 * The text comes from strangers. What this finds is JSON if each value is, which whoever takes a value has to see to;
 * every JSON object is found. Nothing is taken twice: a name that stands there a second time is an error, since two
 * readers might not take the same one.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
/** Bytes below are ASCII. Others stand in strings only, and hold none of the bytes above. */
const ASCII_END = 0x80

/**
 * @param text UTF-8.
 * @param isKnown whether a member may have this name.
 * @throws Error with a text that says why it is no such object; it quotes nothing of it.
 */
export function membersOf(text: Buffer, isKnown: (name: string) => boolean): Map<string, Buffer> {
  const members = new Map<string, Buffer>()
  let at = skipSpace(text, expect(text, skipSpace(text, 0), OPEN_BRACE, 'it is no JSON object'))
  while (text[at] !== CLOSE_BRACE || members.size > 0) {
    const nameEnd = stringEnd(text, at)
    const name = nameOf(text, at, nameEnd)
    if (!isKnown(name)) throw new Error('it has a member that is not known')
    if (members.has(name)) throw new Error(`it has two members '${name}'`)
    at = skipSpace(text, expect(text, skipSpace(text, nameEnd), COLON))
    const end = valueEnd(text, at)
    members.set(name, text.subarray(at, end))
    at = skipSpace(text, end)
    if (text[at] === CLOSE_BRACE) break
    at = skipSpace(text, expect(text, at, COMMA))
  }
  if (skipSpace(text, at + 1) !== text.length) throw new Error('something follows the JSON object')
  return members
}

function nameOf(text: Buffer, from: number, to: number): string {
  try {
    return JSON.parse(text.toString('utf8', from, to)) as string
  } catch {
    throw new Error('it is not valid JSON')
  }
}

function expect(text: Buffer, at: number, byte: number, why = 'it is not valid JSON'): number {
  if (text[at] !== byte) throw new Error(why)
  return at + 1
}

function skipSpace(text: Buffer, from: number): number {
  let at = from
  while (text[at] === 0x20 || text[at] === 0x0a || text[at] === 0x0d || text[at] === 0x09) at++
  return at
}

/** Where the string that begins at `from` ends. */
function stringEnd(text: Buffer, from: number): number {
  let at = text.indexOf(QUOTE, expect(text, from, QUOTE))
  while (at !== -1) {
    let escapes = at
    while (text[escapes - 1] === BACKSLASH) escapes--
    if ((at - escapes) % 2 === 0) return at + 1
    at = text.indexOf(QUOTE, at + 1)
  }
  throw new Error('it is not valid JSON')
}

/** Where the value that begins at `from` ends, if it is one. */
function valueEnd(text: Buffer, from: number): number {
  const first = text[from]
  if (first === QUOTE) return stringEnd(text, from)
  // A byte order mark is no part of JSON, though some decoders pass over it.
  if (first === undefined || first >= ASCII_END) throw new Error('it is not valid JSON')
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return nestedEnd(text, from)
  let at = from
  while (at < text.length && text[at] !== COMMA && text[at] !== CLOSE_BRACE && skipSpace(text, at) === at) at++
  return at
}

function nestedEnd(text: Buffer, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const byte = text[at]
    if (byte === QUOTE) {
      at = stringEnd(text, at) - 1
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--
      if (depth === 0) return at + 1
    }
  }
  throw new Error('it is not valid JSON')
}
