/** What every marshaller has to stand, whoever sends the bytes. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compileExpression } from '../../lib/expression.ts'
import { json } from '../../lib/marshallers/json.ts'
import { type Marshaller, Message } from '../../lib/message.ts'

/** What a body of a binary format may hold: what JSON has, and bytes. */
export const bodies: fc.Arbitrary<unknown> = fc.letrec<{ body: unknown }>((tie) => ({
  body: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.string({ unit: 'binary', maxLength: 80 }).filter((text) => Buffer.from(text).toString() === text),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('body'), { maxLength: 5 }),
    fc.dictionary(fc.string({ maxLength: 12 }), tie('body'), { maxKeys: 5, noNullPrototype: true }).filter(isFine),
  ),
})).body

function isFine(record: object): boolean {
  return !Object.keys(record).includes('__proto__')
}

/** Valid bytes with something wrong in them, and bytes without any sense. */
export function hostile(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const at = fc.nat(400)
  const changed = fc.tuple(valid, fc.array(fc.tuple(at, fc.nat(255)), { minLength: 1, maxLength: 4 })).map(flip)
  const cut = fc.tuple(valid, at).map(([bytes, end]) => bytes.subarray(0, end % (bytes.length + 1)))
  const doubled = fc.tuple(valid, valid).map((parts) => Buffer.concat(parts))
  const noise = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes))
  return fc.oneof({ weight: 3, arbitrary: changed }, cut, doubled, noise)
}

function flip([bytes, changes]: [Buffer, [number, number][]]): Buffer {
  const copy = Buffer.from(bytes)
  for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value
  return copy
}

/** 5,000 inputs: each is refused with an Error, or becomes a body that expressions and JSON stand. */
export function standsAll(marshaller: Marshaller, inputs: fc.Arbitrary<Buffer>): void {
  fc.assert(
    fc.property(inputs, (bytes) => {
      const before = Buffer.from(bytes)
      decodeSafely(marshaller, bytes)
      assert.deepEqual([...bytes], [...before], 'the payload was changed')
      assert.deepEqual(Object.keys(bytes), Object.keys(before), 'the payload was given properties')
      assert.equal(({} as { polluted?: unknown }).polluted, undefined)
    }),
    { numRuns: 5_000 },
  )
}

/** @returns undefined where it was refused. */
export function decodeSafely(marshaller: Marshaller, bytes: Buffer): unknown {
  let body: unknown
  try {
    body = marshaller.decode(bytes)
  } catch (error) {
    assert.ok(error instanceof Error, String(error))
    return undefined
  }
  const isFinite = assertPlain(body)
  const message = new Message({ source: 's', marshaller, payload: bytes })
  if (!isFinite) assert.throws(() => json.encode(body), /is no number/)
  else {
    JSON.parse(json.encode(body).toString())
    compileExpression('[body]').evaluate(message)
  }
  return body
}

/** @returns whether all of its numbers are finite. */
function assertPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true
  assert.equal(typeof value, 'object', `a ${typeof value} in a body`)
  if (value instanceof Uint8Array) return true
  if (Array.isArray(value)) return value.map(assertPlain).every(Boolean)
  assert.equal(Object.getPrototypeOf(value), Object.prototype, 'an object of a class in a body')
  assert.ok(!Object.hasOwn(value as object, '__proto__'))
  return Object.values(value as object)
    .map(assertPlain)
    .every(Boolean)
}

/** Whole bodies come back as they were; `-0`, which no format needs, is 0. */
export function comesBack(marshaller: Marshaller, values: fc.Arbitrary<unknown>): void {
  fc.assert(
    fc.property(values, (value) => {
      assert.deepEqual(plainBytes(marshaller.decode(marshaller.encode(value))), plainBytes(value))
    }),
    { numRuns: 1_000 },
  )
}

/** Bytes compared as bytes, of whatever class. */
export function plainBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plainBytes)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plainBytes(item)]))
}
