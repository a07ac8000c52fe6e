/** Floor 3. `marshal-protobuf`: Protocol Buffers, by the library protobufjs, which users install themselves. */
import { defineMarshaller } from '../../marshaller-type.ts'
import { type ProtobufOptions, schema } from './options.ts'

export type { ProtobufOptions }

export const marshalProtobuf = defineMarshaller<ProtobufOptions>({
  id: 'marshal-protobuf',
  description: 'Protocol Buffers: one type of message, from a .proto file.',
  schema,
  packages: { protobufjs: '8' },
  create: async (options, directory) => (await import('./codec.ts')).createProtobuf(options, directory),
})
