/** Floor 3. MessagePack by msgpackr, which only ever sees what was looked through. */
import { Packr } from 'msgpackr'
import type { Marshaller } from '../../message.ts'
import { bodyOf, encodable } from '../common/body.ts'
import { scanMsgpack } from './scan.ts'

/** No records and no references: nothing but what every MessagePack library reads. 64-bit numbers as BigInt. */
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  moreTypes: false,
  structuredClone: false,
  variableMapSize: true,
  int64AsType: 'bigint',
  useToJSON: false,
})

export const msgpack: Marshaller = {
  format: 'msgpack',
  contentType: 'application/msgpack',
  binary: true,
  decode(payload) {
    const isSpecial = scanMsgpack(payload)
    // A view of its own: the library leaves a property on what it is given.
    const value: unknown = packr.unpack(payload.subarray())
    return isSpecial ? bodyOf(value) : value
  },
  encode: (body) => packr.pack(encodable(body)),
}
