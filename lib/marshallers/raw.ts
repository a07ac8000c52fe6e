/**
 * Floor 3. `marshal-raw`: the payload is the body, byte for byte.
 *
 * A body that is text is written as UTF-8; one that is neither text nor bytes is an error: whoever wants it as JSON
 * says so with `marshal-json`.
 */
import { defineMarshaller } from '../endpoint.ts'
import type { Marshaller } from '../message.ts'

export const raw: Marshaller = {
  format: 'raw',
  contentType: 'application/octet-stream',
  binary: true,
  decode: (payload) => payload,
  encode(body) {
    if (Buffer.isBuffer(body)) return body
    if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    if (body instanceof ArrayBuffer) return Buffer.from(body)
    if (typeof body === 'string') return Buffer.from(body)
    throw new Error('only bytes and text can be raw')
  },
}

export const marshalRaw = defineMarshaller({
  id: 'marshal-raw',
  description: 'Bytes as they are.',
  schema: { type: 'object', properties: {} },
  create: () => raw,
})
