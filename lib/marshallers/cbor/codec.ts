/** Floor 3. CBOR by cbor-x, which only ever sees what was looked through. */
import { Encoder } from 'cbor-x'
import type { Marshaller } from '../../message.ts'
import { bodyOf, encodable } from '../common/body.ts'
import { scanCbor } from './scan.ts'

/** No records and no references: nothing but what every CBOR library reads. */
const encoder = new Encoder({
  useRecords: false,
  mapsAsObjects: true,
  structuredClone: false,
  variableMapSize: true,
  tagUint8Array: false,
  useToJSON: false,
})

export const cbor: Marshaller = {
  format: 'cbor',
  contentType: 'application/cbor',
  binary: true,
  decode(payload) {
    const isSpecial = scanCbor(payload)
    // A view of its own: the library leaves a property on what it is given.
    const value: unknown = encoder.decode(payload.subarray())
    return isSpecial ? bodyOf(value) : value
  },
  encode: (body) => encoder.encode(encodable(body)),
}
