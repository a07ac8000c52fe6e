/** Floor 3. Payloads that are data of one Avro schema. */
import avsc, { type Type } from 'avsc'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { errors } from '../../errors.ts'
import type { Marshaller } from '../../message.ts'
import { toPlain } from '../../plain.ts'
import { loading } from '../common/file.ts'
import { toAvro, toBody } from './convert.ts'
import { fingerprint } from './fingerprint.ts'
import type { AvroOptions } from './options.ts'
import { longType } from './long.ts'
import { scanAvro } from './scan.ts'

const ID = 'marshal-avro'

/** @throws ARALDO_ERR_CONFIG */
export function createAvro(options: AvroOptions, directory: string): Marshaller {
  const type = loading(ID, `file '${options.file}'`, () => loadType(resolve(directory, options.file)))
  const schema = fingerprint(JSON.stringify(type.schema()))
  const header = headerOf(options, schema)
  return {
    format: ['avro', options.framing, schema.toString('hex'), header.toString('hex')].join(':'),
    contentType: 'application/avro',
    binary: true,
    decode(payload) {
      if (!payload.subarray(0, header.length).equals(header)) throw new Error(explainHeader(options))
      const data = payload.subarray(header.length)
      scanAvro(type, data)
      return toBody(type, type.fromBuffer(data))
    },
    encode(body) {
      const data = type.toBuffer(toAvro(type, toPlain(body)))
      return header.length === 0 ? data : Buffer.concat([header, data])
    },
  }
}

/** Without logical types: a body has the number, or the bytes, that stands for a date or a decimal. */
function loadType(path: string): Type {
  const schema = JSON.parse(readFileSync(path, 'utf8')) as avsc.Type
  return avsc.Type.forSchema(schema, { typeHook, wrapUnions: 'always', omitRecordMethods: true })
}

/** Every long, in both forms that a schema can have it. */
function typeHook(schema: unknown): Type | undefined {
  const isLong =
    schema === 'long' || (typeof schema === 'object' && schema !== null && 'type' in schema && schema.type === 'long')
  return isLong ? longType : undefined
}

/** What every payload begins with. @throws ARALDO_ERR_CONFIG */
function headerOf({ framing, 'schema-id': id }: AvroOptions, schema: Buffer): Buffer {
  if ((framing === 'confluent') !== (id !== undefined)) {
    const what = id === undefined ? "framing 'confluent' needs 'schema-id'" : "'schema-id' is for framing 'confluent'"
    throw new errors.CONFIG(`${ID}: ${what}`)
  }
  if (id !== undefined) {
    const header = Buffer.alloc(5)
    header.writeUInt32BE(id, 1)
    return header
  }
  // Avro 1.12, "Single-object encoding".
  return framing === 'single-object' ? Buffer.concat([Buffer.from([0xc3, 0x01]), schema]) : Buffer.alloc(0)
}

function explainHeader({ framing, 'schema-id': id }: AvroOptions): string {
  if (framing === 'confluent') return `it is not of schema ${id}, or has no number of a schema`
  return 'it is not of this schema, or has no fingerprint of a schema'
}
