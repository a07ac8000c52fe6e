/** Floor 3. The marshallers that every relay has. */
import type { MarshallerType } from '../endpoint.ts'
import { marshalAvro } from './avro/index.ts'
import { marshalCbor } from './cbor/index.ts'
import { marshalCloudEvents } from './cloudevents/index.ts'
import { marshalJson } from './json.ts'
import { marshalMsgpack } from './msgpack/index.ts'
import { marshalProtobuf } from './protobuf/index.ts'
import { marshalRaw } from './raw.ts'
import { marshalText } from './text.ts'

export const builtinMarshallers: MarshallerType[] = [
  marshalJson,
  marshalText,
  marshalRaw,
  marshalMsgpack,
  marshalCbor,
  marshalCloudEvents,
  marshalProtobuf,
  marshalAvro,
]
