/** Floor 3. `marshal-cbor`: CBOR, by the library cbor-x, which users install themselves. */
import { defineMarshaller } from '../../marshaller-type.ts'

export const marshalCbor = defineMarshaller({
  id: 'marshal-cbor',
  description: 'CBOR (RFC 8949).',
  schema: { type: 'object', properties: {} },
  packages: { 'cbor-x': '1' },
  create: async () => (await import('./codec.ts')).cbor,
})
