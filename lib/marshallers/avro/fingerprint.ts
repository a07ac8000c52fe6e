/**
 * Floor 3. What names a schema: the CRC-64-AVRO of its Parsing Canonical Form (Avro 1.12, "Schema Fingerprints" and
 * "Parsing Canonical Form for Schemas").
 */

const EMPTY = 0xc15d213aa4d7a795n
const TABLE: readonly bigint[] = Array.from({ length: 256 }, (_unused, index) => {
  let value = BigInt(index)
  for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ (EMPTY & -(value & 1n))
  return value
})

/** @param canonical text. @returns 8 bytes, the lowest first, as single-object encoding has them. */
export function fingerprint(canonical: string): Buffer {
  let value = EMPTY
  for (const byte of Buffer.from(canonical)) {
    value = (value >> 8n) ^ (TABLE[Number((value ^ BigInt(byte)) & 0xffn)] as bigint)
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
