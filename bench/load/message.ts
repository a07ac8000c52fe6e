/**
 * What is sent: a JSON object of 128 bytes that carries when it was sent and which one it is, in digits at fixed
 * places, so that a client reads them without decoding anything.
 *
 *     {"at":"000012345678","number":"00000042","text":"a message of the benchmark …"}
 */
export const PAYLOAD_BYTES = 128

const BEFORE_AT = '{"at":"'
const AT_DIGITS = 12
const BEFORE_NUMBER = '","number":"'
const NUMBER_DIGITS = 8
const BEFORE_TEXT = '","text":"'
const END = '"}'

const TEXT_BYTES =
  PAYLOAD_BYTES -
  (BEFORE_AT.length + AT_DIGITS + BEFORE_NUMBER.length + NUMBER_DIGITS + BEFORE_TEXT.length + END.length)
const ZERO = 0x30

/** A payload with marks of 0. */
export const PAYLOAD = [
  BEFORE_AT,
  '0'.repeat(AT_DIGITS),
  BEFORE_NUMBER,
  '0'.repeat(NUMBER_DIGITS),
  BEFORE_TEXT,
  'a message of the benchmark '.repeat(8).slice(0, TEXT_BYTES),
  END,
].join('')

/**
 * Nanoseconds of CLOCK_MONOTONIC since second `epoch` of it. The clock is one for the whole machine; the epoch keeps
 * the figure within twelve digits for 16 minutes.
 */
export function nanosecondsSince(epoch: number): number {
  const [seconds, nanoseconds] = process.hrtime()
  return (seconds - epoch) * 1e9 + nanoseconds
}

/** Where the marks are, counted from the first byte of what carries them. */
export interface Places {
  readonly at: number
  readonly number: number
}

/** The places of the marks in anything that was made of {@link PAYLOAD} as it is: a frame, a command. */
export function findPlaces(template: Uint8Array): Places {
  const text = Buffer.from(template).toString('latin1')
  const at = text.indexOf('0'.repeat(AT_DIGITS))
  const number = text.indexOf('0'.repeat(NUMBER_DIGITS), at + AT_DIGITS)
  if (at === -1 || number === -1) throw new Error('the template has no room for the marks')
  return { at, number }
}

/** Marks the copy of a template that begins at `start`. */
export function mark(bytes: Buffer, start: number, places: Places, at: number, number: number): void {
  writeDigits(bytes, start + places.at, AT_DIGITS, at)
  writeDigits(bytes, start + places.number, NUMBER_DIGITS, number)
}

/** When the message whose mark is at `place` was sent (nanoseconds). */
export function readAt(bytes: Buffer, place: number): number {
  // Two halves of six digits each stay small integers: this runs millions of times a second.
  const half = AT_DIGITS / 2
  return readDigits(bytes, place, half) * 1e6 + readDigits(bytes, place + half, half)
}

export function readNumber(bytes: Buffer, place: number): number {
  return readDigits(bytes, place, NUMBER_DIGITS)
}

function readDigits(bytes: Buffer, start: number, digits: number): number {
  let value = 0
  for (let index = start; index < start + digits; index++) value = value * 10 + (bytes[index] as number) - ZERO
  return value
}

function writeDigits(bytes: Buffer, start: number, digits: number, value: number): void {
  let left = value
  for (let index = start + digits - 1; index >= start; index--) {
    bytes[index] = ZERO + (left % 10)
    left = Math.floor(left / 10)
  }
}
