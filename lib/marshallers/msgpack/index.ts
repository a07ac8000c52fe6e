/** Floor 3. `marshal-msgpack`: MessagePack, by the library msgpackr, which users install themselves. */
import { defineMarshaller } from '../../marshaller-type.ts'

export const marshalMsgpack = defineMarshaller({
  id: 'marshal-msgpack',
  description: 'MessagePack.',
  schema: { type: 'object', properties: {} },
  packages: { msgpackr: '2' },
  create: async () => (await import('./codec.ts')).msgpack,
})
