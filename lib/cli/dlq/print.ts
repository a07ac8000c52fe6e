/** Floor 6. Dead letters as people read them. What a peer sent never reaches the terminal as it is. */
import { isUtf8 } from 'node:buffer'
import type { Letter } from '../../endpoints/redis/stream/letters.ts'

const MAX_REASON = 60

export const HEAD = ['ID', 'TIME', 'ROUTE', 'TARGET', 'ATTEMPTS', 'BYTES', 'CODE', 'REASON']

/** In the order of {@link HEAD}. */
export function letterRow({ entry, time, headers, payload }: Letter): string[] {
  const reason = printable(headers['araldo-error'] ?? '')
  return [
    entry,
    timeOf(time),
    printable(headers['araldo-route'] ?? '-'),
    printable(headers['araldo-target'] ?? '-'),
    printable(headers['araldo-attempts'] ?? '-'),
    String(payload.length),
    printable(headers['araldo-error-code'] ?? '-'),
    reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON - 1)}…` : reason,
  ]
}

/** All of it: a line for each header, then the payload. */
export function letterText({ entry, time, id, key, headers, payload }: Letter): string {
  const own = { entry, time: timeOf(time), id, key }
  // Not in one object: a header that has the name of one of these must not pass for it.
  const rows = [...Object.entries(own), ...Object.entries(headers)].flatMap(([name, value]) =>
    value === undefined ? [] : [[printable(name), printable(value)]],
  )
  return `${table(rows)}\n\n${payloadText(payload)}\n`
}

/** One line. The payload is in base64: nothing is lost, whatever its bytes are. */
export function letterJson({ entry, time, id, key, headers, payload }: Letter): string {
  return `${harmless(JSON.stringify({ entry, time, id, key, headers, payload: payload.toString('base64') }))}\n`
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** JSON set out in lines, other text as it is, bytes in base64. */
function payloadText(payload: Buffer): string {
  if (!isUtf8(payload)) return `(${payload.length} bytes, base64) ${payload.toString('base64')}`
  const text = payload.toString('utf8')
  try {
    return harmless(JSON.stringify(JSON.parse(text), undefined, 2))
  } catch {
    return text.replace(/[^\S\n]|[\p{Cc}\p{Cf}]/gu, (character) =>
      character === '\n' ? character : printable(character),
    )
  }
}

function timeOf(time: number | undefined): string {
  return time === undefined || Math.abs(time) > 8.64e15 ? '-' : new Date(time).toISOString()
}

/** The same JSON without the control characters that JSON leaves as they are: a terminal obeys them, too. */
function harmless(json: string): string {
  return json.replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    // Outside of the basic plane it is two, as JSON has it.
    return Array.from({ length: character.length }, (_, index) => {
      return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
    }).join('')
  })
}

/** Control characters as escapes: a terminal obeys them. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) as number
    return `\\u{${code.toString(16)}}`
  })
}
