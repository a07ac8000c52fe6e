/** Floor 3. The parameters of `marshal-protobuf`. */
import type { JsonSchema } from '../../types.ts'

export interface ProtobufOptions {
  readonly file: string
  readonly message: string
}

export const schema: JsonSchema = {
  type: 'object',
  required: ['file', 'message'],
  properties: {
    file: {
      type: 'string',
      minLength: 1,
      description: "The .proto file, relative to the config's folder. What it imports is in the same folder, or below.",
    },
    message: {
      type: 'string',
      pattern: '^\\.?[A-Za-z_]\\w*(\\.[A-Za-z_]\\w*)*$',
      description: 'The message that each payload is, with its package: `shop.Order`.',
    },
  },
}
