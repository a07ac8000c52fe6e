/** Floor 3. The header fields of a request that carries a message. */
import { errors } from '../../errors.ts'
import type { Marshaller, Message } from '../../message.ts'
import { CONTENT_TYPE, contentTypeOf, ID, KEY, TIME } from '../common/attributes.ts'
import { nameFilter } from './names.ts'
import type { HttpOptions } from './options.ts'
import { type Signer, signatureHeaders } from './signature.ts'
import { headerProblem, toField } from './text.ts'

/** Bytes of all that a message adds: servers seldom take more than 16 KiB, Node's own no more. */
const MAX_BYTES = 15 * 1024

export interface FieldsInit {
  /** The endpoint's name. */
  readonly name: string
  readonly options: HttpOptions
  /** The endpoint's. */
  readonly marshaller: Marshaller
  readonly signer: Signer | undefined
}

/** Name, value, name, value …, as undici takes them. */
export type WriteFields = (message: Message, payload: Buffer) => string[]

/** The function that it returns throws ARALDO_ERR_HEADER_INVALID. */
export function fieldWriter({ name, options, marshaller, signer }: FieldsInit): WriteFields {
  const { headers: fixed = {}, signature, 'forward-headers': patterns } = options
  const forwards = nameFilter(patterns)
  const standing = Object.entries(fixed).flatMap(([key, value]) => [key, toField(value)])
  if (!hasName(fixed, 'user-agent')) standing.push('user-agent', 'araldo')
  // What the config says, and the signature, counts for more than a message's.
  const taken = new Set([...Object.keys(fixed).map((key) => key.toLowerCase()), 'user-agent'])
  if (signature !== undefined) for (const key of signatureHeaders(signature)) taken.add(key)

  return (message, payload) => {
    const fields = [...standing]
    let bytes = 0
    const add = (key: string, value: string): void => {
      const problem = headerProblem(key, value)
      if (problem !== undefined) throw new errors.HEADER_INVALID(name, problem)
      const field = toField(value)
      bytes += key.length + field.length
      if (bytes > MAX_BYTES) throw new errors.HEADER_INVALID(name, `its headers have more than ${MAX_BYTES} bytes`)
      fields.push(key, field)
    }
    const { id, key, time } = message
    add(CONTENT_TYPE, contentTypeOf(message, marshaller))
    add(ID, id)
    add('idempotency-key', id)
    if (key !== undefined) add(KEY, key)
    add(TIME, String(time))
    let seen: Set<string> | undefined
    for (const each in message.headers) {
      const lower = each.toLowerCase()
      if (taken.has(lower) || !forwards(lower)) continue
      if (seen?.has(lower) === true) throw new errors.HEADER_INVALID(name, `'${lower}' is there twice, in two cases`)
      seen = (seen ?? new Set()).add(lower)
      add(each, message.headers[each] as string)
    }
    if (signer !== undefined) for (const [each, value] of signer.sign(id, payload, Date.now())) add(each, value)
    return fields
  }
}

function hasName(headers: Readonly<Record<string, string>>, name: string): boolean {
  return Object.keys(headers).some((key) => key.toLowerCase() === name)
}
