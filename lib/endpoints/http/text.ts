/**
 * Floor 3. Text in HTTP's header fields. They hold bytes (RFC 9110 section 5.5): text beyond ASCII is written as UTF-8, and
 * Node gives and takes these bytes as characters of one byte each.
 */
import { isUtf8 } from 'node:buffer'

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f]/
const BLANK_END = /^[ \t]|[ \t]$/
// eslint-disable-next-line no-control-regex
const ASCII = /^[\u0000-\u007f]*$/

/** Why HTTP cannot carry a header as it is; undefined where it can. */
export function headerProblem(name: string, value: string): string | undefined {
  if (!TOKEN.test(name)) return `'${name.slice(0, 64)}' is no name that HTTP knows`
  if (FORBIDDEN.test(value)) return `'${name}' holds a line end or another control character`
  return BLANK_END.test(value) ? `'${name}' begins or ends with white space, which HTTP would take away` : undefined
}

/** For Node to write. */
export function toField(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** As Node has read it. What is not UTF-8 stays ISO 8859-1, as HTTP once had it. */
export function fromField(field: string): string {
  if (ASCII.test(field)) return field
  const bytes = Buffer.from(field, 'latin1')
  return isUtf8(bytes) ? bytes.toString() : field
}
