/**
 * Floor 3. `marshal-json`: JSON (RFC 8259) in UTF-8. The default of every endpoint that names no other.
 *
 * Decoding takes bytes from strangers: they must be valid UTF-8, and keys that would reach a prototype
 * (`__proto__`, `constructor.prototype`) are refused. Encoding loses nothing in silence: bytes become base64 text,
 * whole numbers beyond 2^53, NaN, functions and objects that hold themselves are errors. As ever in JSON, a key whose
 * value is undefined is left out.
 */
import { isUtf8 } from 'node:buffer'
import secureJson from 'secure-json-parse'
import { defineMarshaller } from '../endpoint.ts'
import type { Marshaller } from '../message.ts'
import { toPlain } from '../plain.ts'

/** The built-in default. */
export const json: Marshaller = {
  format: 'json',
  contentType: 'application/json',
  binary: false,
  decode(payload) {
    if (!isUtf8(payload)) throw new Error('not valid UTF-8')
    return secureJson.parse(payload.toString()) as unknown
  },
  encode(body) {
    const text = JSON.stringify(toPlain(body, bytesToBase64)) as string | undefined
    if (text === undefined) throw new Error('there is no body')
    return Buffer.from(text)
  },
}

function bytesToBase64(value: object): string | undefined {
  if (!(value instanceof Uint8Array)) return undefined
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
}

export const marshalJson = defineMarshaller({
  id: 'marshal-json',
  description: 'JSON in UTF-8: the default.',
  schema: { type: 'object', properties: {} },
  create: () => json,
})
