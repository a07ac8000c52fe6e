/** Floor 3. CBOR (RFC 8949), looked through. */
import { Scan } from '../common/scan.ts'

/** Tags that have a meaning in a body; section 3.4. Of all others nobody here would know what their content means. */
const TEXT_TIME = 0
const NUMBER_TIME = 1
const POSITIVE = 2
const NEGATIVE = 3
/** Says that it is CBOR; at the beginning only. Section 3.4.6. */
const SELF_DESCRIBED = 55_799
/** Major types. */
const BYTES = 2
const TAG = 6
/** Bytes of a large number: turning one into decimal text takes time that grows with the square of its length. */
const MAX_BIGNUM = 1_024

/** What a tag may stand before, by major type. */
const TAGGED: Readonly<Record<number, readonly number[]>> = {
  [TEXT_TIME]: [3],
  [NUMBER_TIME]: [0, 1, 7],
  [POSITIVE]: [2],
  [NEGATIVE]: [2],
}

/**
 * @returns whether it holds what is otherwise in a body: bytes, times, large numbers, undefined.
 * @throws Error where it is no CBOR, or holds what no body can hold.
 */
export function scanCbor(bytes: Buffer): boolean {
  const scan = new Scan(bytes)
  while (scan.next()) {
    const isStart = scan.position === 0
    const head = scan.uint(1)
    const untagged = head >> 5 === TAG ? tagged(scan, head, isStart) : head
    item(scan, untagged >> 5, untagged & 0x1f)
  }
  return scan.isSpecial
}

/** @returns the head of what the tag is for. */
function tagged(scan: Scan, tagHead: number, isStart: boolean): number {
  const tag = argument(scan, tagHead & 0x1f)
  const head = scan.uint(1)
  const major = head >> 5
  if (isStart && tag === SELF_DESCRIBED) return major === TAG ? tagged(scan, head, false) : head
  const allowed = TAGGED[tag]
  if (allowed === undefined) throw new Error(`the tag ${tag} is not supported`)
  if (!allowed.includes(major)) throw new Error(`the tag ${tag} does not go with what it stands before`)
  scan.notKey('tagged')
  scan.isSpecial = true
  if (major === BYTES && peekArgument(scan, head & 0x1f) > MAX_BIGNUM) {
    throw new Error(`a number of more than ${MAX_BIGNUM} bytes`)
  }
  return head
}

function item(scan: Scan, major: number, info: number): void {
  if (info === 31) return indefinite(scan, major)
  switch (major) {
    case 0:
    case 1:
      if (info === 27) scan.isSpecial = true
      argument(scan, info)
      return
    case 2:
      return scan.blob(argument(scan, info))
    case 3:
      return scan.text(argument(scan, info))
    case 4:
      return scan.open(argument(scan, info), false)
    case 5:
      return scan.open(2 * argument(scan, info), true)
    case 7:
      return simple(scan, info)
    default:
      throw new Error('a tag before a tag')
  }
}

function indefinite(scan: Scan, major: number): void {
  if (major === 7) scan.close()
  else if (major === 4 || major === 5) scan.open(Infinity, major === 5)
  else throw new Error('text or bytes of unknown length are not supported')
}

/** False, true, null, undefined, and floating-point numbers; section 3.3. */
function simple(scan: Scan, info: number): void {
  scan.notKey('no text')
  if (info === 23) scan.isSpecial = true
  if (info >= 20 && info <= 23) return
  if (info < 25 || info > 27) throw new Error('a simple value that has no meaning')
  scan.skip(2 ** (info - 24))
}

/** The number that follows the first byte of an item; Infinity where no bytes can be so long. Section 3. */
function argument(scan: Scan, info: number): number {
  if (info < 24) return info
  if (info === 24) return scan.uint(1)
  if (info === 25) return scan.uint(2)
  if (info === 26) return scan.uint(4)
  if (info !== 27) throw new Error('a length that is none')
  return scan.uint(4) * 2 ** 32 + scan.uint(4)
}

function peekArgument(scan: Scan, info: number): number {
  const { position } = scan
  const value = argument(scan, info)
  scan.position = position
  return value
}
