/** Floor 3. The parameters of `marshal-avro`. */
import type { JsonSchema } from '../../types.ts'

export interface AvroOptions {
  readonly file: string
  readonly framing: 'none' | 'single-object' | 'confluent'
  readonly 'schema-id'?: number
}

export const schema: JsonSchema = {
  type: 'object',
  required: ['file'],
  properties: {
    file: {
      type: 'string',
      minLength: 1,
      description: "The schema in JSON (.avsc), relative to the config's folder.",
    },
    framing: {
      enum: ['none', 'single-object', 'confluent'],
      default: 'none',
      description:
        'What stands before the data: nothing; the fingerprint of the schema (single-object encoding); or a zero byte ' +
        "and the schema's number in a registry (Confluent).",
    },
    'schema-id': {
      type: 'integer',
      minimum: 0,
      maximum: 0xffff_ffff,
      description:
        'For `confluent`: the number of the schema. No registry is asked; payloads with another number are refused.',
    },
  },
}
