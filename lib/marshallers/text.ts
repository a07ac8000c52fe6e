/**
 * Floor 3. `marshal-text`: the payload is text in UTF-8, the body is a string.
 *
 * A body that is no string, because it comes from an endpoint that speaks another format, is written as JSON: `42`,
 * `true`, `{"id":7}`. Bytes are taken as UTF-8, and are an error where they are none.
 */
import { isUtf8 } from 'node:buffer'
import { defineMarshaller } from '../endpoint.ts'
import type { Marshaller } from '../message.ts'
import { json } from './json.ts'

export const text: Marshaller = {
  format: 'text',
  contentType: 'text/plain; charset=utf-8',
  binary: false,
  decode: (payload) => requireUtf8(payload).toString(),
  encode(body) {
    if (typeof body === 'string') return Buffer.from(body)
    if (body instanceof Uint8Array) return requireUtf8(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
    return json.encode(body)
  },
}

function requireUtf8(bytes: Buffer): Buffer {
  if (!isUtf8(bytes)) throw new Error('not valid UTF-8')
  return bytes
}

export const marshalText = defineMarshaller({
  id: 'marshal-text',
  description: 'Text in UTF-8; the body is a string.',
  schema: { type: 'object', properties: {} },
  create: () => text,
})
