import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { edits, nearest, oneLine, oneOf, pathWords, quote } from '../../lib/config/words.ts'

describe('the nearest name', () => {
  for (const [word, candidates, expected] of [
    ['redis_1', ['mock_1', 'redis_2', 'redis_3'], 'redis_2'],
    ['sever-port', ['server-port', 'server-host'], 'server-port'],
    ['server-prot', ['server-host', 'server-port'], 'server-port'],
    ['INFO', ['debug', 'info'], 'info'],
    ['warn', ['debug', 'warning'], 'warning'],
    ['mock', ['endpoint-app', 'endpoint-mock'], 'endpoint-mock'],
    ['endpoint-kafka', ['endpoint-mock', 'endpoint-redis'], undefined],
    ['endpoint-websoket', ['endpoint-mock', 'endpoint-websocket'], 'endpoint-websocket'],
    ['araldo.marshaling', ['araldo.marshalling', 'araldo.endpoints.endpoint'], 'araldo.marshalling'],
    ['b', ['a', 'out'], undefined],
    ['A', ['a'], 'a'],
    ['redis-1', ['redis-2'], 'redis-2'],
    ['anything', ['nothing like it'], undefined],
    ['', ['a'], undefined],
    ['same', ['same'], undefined],
  ] as [string, string[], string | undefined][]) {
    it(`to '${word}' is ${expected ?? 'none'}`, () => assert.equal(nearest(word, candidates), expected))
  }

  it('is found in bounded time', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => `name-${index}`)
    const start = performance.now()
    for (let round = 0; round < 200; round++) nearest(`nama-${round}`, many)
    assert.ok(performance.now() - start < 10_000)
  })
})

describe('the distance between two words', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    assert.equal(edits('', ''), 0)
    assert.equal(edits('abc', 'abc'), 0)
    assert.equal(edits('abc', 'abxc'), 1)
    assert.equal(edits('abc', 'ac'), 1)
    assert.equal(edits('abc', 'axc'), 1)
    assert.equal(edits('abc', 'acb'), 1)
    assert.equal(edits('', 'abc'), 3)
    assert.equal(edits('kitten', 'sitting'), 3)
  })

  it('is the same both ways, zero for equal words alone, and at most the longer word', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 })
    fc.assert(
      fc.property(word, word, (one, other) => {
        const distance = edits(one, other)
        assert.equal(distance, edits(other, one))
        assert.equal(distance === 0, one === other)
        assert.ok(distance <= Math.max(one.length, other.length))
        assert.ok(distance >= Math.abs(one.length - other.length))
      }),
    )
  })
})

describe('what is quoted', () => {
  it('is one line, capped, and nothing that a terminal obeys', () => {
    assert.equal(quote('a\nb\x1b[31m\u202e'), "'a\\u000ab\\u001b[31m\\u202e'")
    assert.equal(quote('x'.repeat(100)), `'${'x'.repeat(60)}…'`)
    assert.equal(oneLine(' two\n  lines \r\n here'), 'two lines here')
    assert.ok(oneLine('x'.repeat(10_000)).length < 600)
  })

  it('is listed as people do', () => {
    assert.equal(oneOf([]), '')
    assert.equal(oneOf(['a']), "'a'")
    assert.equal(oneOf(['a', 'b', 'c']), "'a', 'b' or 'c'")
    assert.match(
      oneOf(
        Array.from({ length: 30 }, (_, index) => `n${index}`),
        'and',
      ),
      /'n19' and 10 more$/,
    )
  })

  it('is a path in words', () => {
    assert.equal(pathWords(['tls', 'item 2', 'a b', 'ca']), "tls: item 2: 'a b': ca: ")
    assert.equal(pathWords([]), '')
  })
})
