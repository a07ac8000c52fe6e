/** Floor 3. Payloads that are one type of message of Protocol Buffers. */
import { createHash } from 'node:crypto'
import type protobuf from 'protobufjs'
import type { Marshaller } from '../../message.ts'
import { toPlain } from '../../plain.ts'
import { bodyOf } from '../common/body.ts'
import type { ProtobufOptions } from './options.ts'
import { loadType } from './load.ts'
import { messageOf } from './write.ts'

/** Fields that are not there have their default: expressions need not ask for each. */
const CONVERSION: protobuf.IConversionOptions = { longs: BigInt, enums: String, defaults: true }

/** @throws ARALDO_ERR_CONFIG */
export function createProtobuf(options: ProtobufOptions, directory: string): Marshaller {
  const type = loadType(options, directory)
  return {
    format: `protobuf:${type.fullName.slice(1)}:${hashOf(type.root)}`,
    contentType: 'application/protobuf',
    binary: true,
    // The library bounds nesting (100 levels), and takes no length that is beyond the bytes.
    decode: (payload) => bodyOf(type.toObject(type.decode(payload), CONVERSION)),
    encode: (body) => bufferOf(type.encode(messageOf(type, toPlain(body))).finish()),
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Of what the files define: two endpoints have one format where these are the same. */
function hashOf(root: protobuf.Root): string {
  return createHash('sha256').update(JSON.stringify(root.toJSON())).digest('base64url').slice(0, 16)
}
