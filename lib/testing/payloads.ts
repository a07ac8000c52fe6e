/** Floor 6. What the suite sends: payloads that pass, and payloads that are meant to hurt. */
import type { Peer } from './peer.ts'

export interface Sample {
  /** In words, for a failure. */
  readonly what: string
  readonly payload: Buffer
}

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

/** Payloads that must go through untouched, as far as the protocol can carry them. */
export function binary(peer: Peer): readonly Sample[] {
  const samples = [
    { what: 'every byte there is', payload: EVERY_BYTE },
    { what: 'every byte but line ends', payload: EVERY_BYTE.filter((byte) => byte !== 10 && byte !== 13) as Buffer },
    { what: 'bytes that are not UTF-8', payload: Buffer.from([0x61, 0xc3, 0x28, 0xff, 0xfe, 0x62]) },
    { what: 'a zero byte', payload: Buffer.from([0]) },
    { what: '16 KiB', payload: Buffer.alloc(16 * 1024, 'araldo ') },
  ]
  return samples.filter(({ payload }) => peer.carries?.(payload) ?? true)
}

export function text(peer: Peer): readonly Sample[] {
  const samples = [
    { what: 'letters', payload: Buffer.from('Grüß Gott, καλημέρα, 日本語') },
    { what: 'characters of four bytes', payload: Buffer.from('🐘🧵𝄞') },
    { what: 'JSON', payload: Buffer.from('{"a":[1,2,{"b":null}],"c":"\\n"}') },
    { what: 'a text with line ends', payload: Buffer.from('one\r\ntwo\nthree') },
    { what: 'blanks at both ends', payload: Buffer.from('  between  ') },
  ]
  return samples.filter(({ payload }) => peer.carries?.(payload) ?? true)
}

/** Payloads that must do no harm: each arrives as it was, or not at all. */
export const HOSTILE: readonly Sample[] = [
  { what: 'an empty payload', payload: Buffer.alloc(0) },
  { what: 'one MiB', payload: Buffer.alloc(1024 * 1024, 'x') },
  { what: 'one MiB of line ends', payload: Buffer.alloc(1024 * 1024, '\n') },
  { what: 'bytes that are not UTF-8', payload: Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]) },
  { what: 'half a JSON text', payload: Buffer.from('{"a": [1, 2') },
  { what: 'a name that every object has', payload: Buffer.from('{"__proto__":{"polluted":true}}') },
  { what: 'JSON of 50,000 levels', payload: Buffer.alloc(50_000, '[') },
  { what: 'control characters', payload: Buffer.from('\u001b[2J\u0000\u0007\r\n') },
]

/** A payload that everything can carry, and that is like no other of the same test. */
export function plain(word: string, number: number): Buffer {
  return Buffer.from(`"${word} ${number}"`)
}

/** By these a subject finds out whether it works. */
export function probe(subject: string, number: number): Buffer {
  return Buffer.from(`"probe ${number} of ${subject}"`)
}

/** Whether it is a {@link probe}; of that subject, if one is named. */
export function isProbe(payload: Buffer, subject?: string): boolean {
  const [, name] = /^"probe \d+ of (.*)"$/.exec(payload.toString()) ?? []
  return name !== undefined && (subject === undefined || name === subject)
}
