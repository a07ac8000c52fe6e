/** Found without parsing: what is found must be what a parser finds, for every JSON object, and nothing else. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { membersOf } from '../../../lib/endpoints/common/araldo-v1/members.ts'

const all = (): boolean => true

function parseAll(text: Buffer): Record<string, unknown> {
  const members = [...membersOf(text, all)].map(([name, value]) => [name, JSON.parse(value.toString())] as const)
  return Object.fromEntries(members)
}

/** JSON text of a value, with blanks wherever JSON allows them. */
function spaced(value: unknown, blank: () => string): string {
  const around = (text: string): string => blank() + text + blank()
  if (Array.isArray(value)) return around(`[${value.map((item) => spaced(item, blank)).join(',') || blank()}]`)
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(
      ([name, item]) => `${around(JSON.stringify(name))}:${spaced(item, blank)}`,
    )
    return around(`{${members.join(',') || blank()}}`)
  }
  return around(JSON.stringify(value))
}

describe('members of a JSON object', () => {
  test('are those that a parser finds, whatever they are and however they are spaced', () => {
    const blanks = fc.infiniteStream(fc.constantFrom('', '', ' ', '\n', '\t', '\r\n'))
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), blanks, (object, stream) => {
        const text = spaced(object, () => stream.next().value as string)
        assert.deepEqual(parseAll(Buffer.from(text)), JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  test('are found in valid JSON only, and then all of them', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '"a"',
        '"b"',
        '1',
        '-',
        'null',
        'tru',
        ' ',
        '\\"',
        'é',
        '\ufeff',
        '{}',
      ],
    )
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => `{"x":${pieces.join('')}`)
    fc.assert(
      fc.property(text, (candidate) => {
        let found: Record<string, unknown> | undefined
        try {
          found = parseAll(Buffer.from(candidate))
        } catch (error) {
          if (/two members/.test((error as Error).message)) return
        }
        let parsed: unknown
        try {
          parsed = JSON.parse(candidate)
        } catch {
          parsed = undefined
        }
        assert.deepEqual(found, parsed, candidate)
      }),
      { numRuns: 20_000 },
    )
  })

  test('are parts of the text: nothing is copied, no number changed', () => {
    const text = Buffer.from('{"a":{"n": 12345678901234567890, "s":"}\\"]"} , "b":1e400}')
    const members = membersOf(text, all)
    assert.equal(members.get('a')?.toString(), '{"n": 12345678901234567890, "s":"}\\"]"}')
    assert.equal(members.get('b')?.toString(), '1e400')
    assert.equal(members.get('a')?.buffer, text.buffer)
  })

  test('a name that is there twice is an error, also when it is written differently', () => {
    assert.throws(() => membersOf(Buffer.from('{"a":1,"a":2}'), all), /two members 'a'/)
    assert.throws(() => membersOf(Buffer.from('{"a":1,"\\u0061":2}'), all), /two members 'a'/)
  })

  test('a name that is not known ends the search', () => {
    assert.throws(() => membersOf(Buffer.from('{"a":1,"__proto__":{}, garbage'), (name) => name === 'a'), /not known/)
  })

  test('50,000 levels are no deeper than one', () => {
    const text = Buffer.from(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)
    assert.equal(membersOf(text, all).get('a')?.length, 100_000)
    assert.throws(() => membersOf(Buffer.from(`{"a":${'['.repeat(50_000)}}`), all))
  })
})
