/** Floor 3. `marshal-avro`: Apache Avro, by the library avsc, which users install themselves. */
import { defineMarshaller } from '../../marshaller-type.ts'
import { type AvroOptions, schema } from './options.ts'

export type { AvroOptions }

export const marshalAvro = defineMarshaller<AvroOptions>({
  id: 'marshal-avro',
  description: 'Apache Avro: one schema, from an .avsc file.',
  schema,
  packages: { avsc: '5' },
  create: async (options, directory) => (await import('./codec.ts')).createAvro(options, directory),
})
