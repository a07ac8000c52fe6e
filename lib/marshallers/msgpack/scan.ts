/** Floor 3. MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), looked through. */
import { Scan } from '../common/scan.ts'

/** The type of an extension that holds a time: -1. */
const TIMESTAMP = 0xff

/**
 * @returns whether it holds what is otherwise in a body: bytes, times, 64-bit numbers.
 * @throws Error where it is no MessagePack, or holds an extension other than a timestamp.
 */
export function scanMsgpack(bytes: Buffer): boolean {
  const scan = new Scan(bytes)
  while (scan.next()) {
    const token = scan.uint(1)
    if (token <= 0x7f || token >= 0xe0) continue
    if (token <= 0x8f) scan.open(2 * (token & 0x0f), true)
    else if (token <= 0x9f) scan.open(token & 0x0f, false)
    else if (token <= 0xbf) scan.text(token & 0x1f)
    else other(scan, token)
  }
  return scan.isSpecial
}

function other(scan: Scan, token: number): void {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return scan.notKey('no text')
    case 0xc4:
      return scan.blob(scan.uint(1))
    case 0xc5:
      return scan.blob(scan.uint(2))
    case 0xc6:
      return scan.blob(scan.uint(4))
    case 0xca:
    case 0xcb:
      scan.notKey('no whole number')
      return scan.skip(token === 0xca ? 4 : 8)
    case 0xcc:
    case 0xd0:
      return scan.skip(1)
    case 0xcd:
    case 0xd1:
      return scan.skip(2)
    case 0xce:
    case 0xd2:
      return scan.skip(4)
    case 0xcf:
    case 0xd3:
      scan.isSpecial = true
      return scan.skip(8)
    case 0xd9:
      return scan.text(scan.uint(1))
    case 0xda:
      return scan.text(scan.uint(2))
    case 0xdb:
      return scan.text(scan.uint(4))
    case 0xdc:
      return scan.open(scan.uint(2), false)
    case 0xdd:
      return scan.open(scan.uint(4), false)
    case 0xde:
      return scan.open(2 * scan.uint(2), true)
    case 0xdf:
      return scan.open(2 * scan.uint(4), true)
    case 0xc1:
      throw new Error('0xc1 is never used')
    default:
      return extension(scan, token)
  }
}

/** 0xc7 ext 8, 0xd6 fixext 4, 0xd7 fixext 8: those that a timestamp comes as. */
function extension(scan: Scan, token: number): void {
  scan.notKey('an extension')
  const length = token === 0xd6 ? 4 : token === 0xd7 ? 8 : token === 0xc7 ? scan.uint(1) : undefined
  const isTime = length === 4 || length === 8 || length === 12
  if (!isTime || scan.uint(1) !== TIMESTAMP) throw new Error('an extension other than a timestamp')
  scan.isSpecial = true
  scan.skip(length)
}
