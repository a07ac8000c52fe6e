import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatQuantity, parseQuantity, patternOf, type Unit } from '../../lib/config/units.ts'

describe('sizes and durations', () => {
  for (const [text, unit, expected] of [
    ['64KiB', 'bytes', 65536],
    ['1MiB', 'bytes', 1048576],
    ['1.5 GiB', 'bytes', 1610612736],
    ['1kB', 'bytes', 1000],
    ['2MB', 'bytes', 2_000_000],
    ['7B', 'bytes', 7],
    ['500ms', 'milliseconds', 500],
    ['30s', 'milliseconds', 30_000],
    ['0.5s', 'milliseconds', 500],
    ['5m', 'milliseconds', 300_000],
    ['1h', 'milliseconds', 3_600_000],
    ['2d', 'milliseconds', 172_800_000],
    ['0s', 'milliseconds', 0],
  ] as [string, Unit, number][]) {
    it(`${text} is ${expected} ${unit}`, () => {
      assert.equal(parseQuantity(text, unit), expected)
      assert.match(text, new RegExp(patternOf(unit)))
    })
  }

  for (const [text, unit] of [
    ['64', 'bytes'],
    ['64K', 'bytes'],
    ['64kib', 'bytes'],
    ['-1B', 'bytes'],
    ['1,5s', 'milliseconds'],
    ['.5s', 'milliseconds'],
    ['1e3s', 'milliseconds'],
    ['30S', 'milliseconds'],
    ['1s1ms', 'milliseconds'],
    ['5 constructor', 'milliseconds'],
    ['5toString', 'bytes'],
    ['', 'bytes'],
    [' 1s', 'milliseconds'],
    [`${'9'.repeat(400)}s`, 'milliseconds'],
  ] as [string, Unit][]) {
    it(`'${text.slice(0, 20)}' is none`, () => {
      assert.equal(parseQuantity(text, unit), undefined)
      assert.doesNotMatch(text, new RegExp(patternOf(unit)))
    })
  }

  it('are read as they are printed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Unit>('bytes', 'milliseconds'),
        fc.integer({ min: 1, max: 2 ** 45 }),
        (unit, value) => {
          assert.equal(parseQuantity(formatQuantity(value, unit), unit), value)
        },
      ),
    )
  })

  it('are read by the pattern that schemas have, and by nothing else', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9]{0,3}(\.[0-9]{0,2})? ?(B|kB|KiB|MB|s|ms|m|h|d|x)?$/))
    fc.assert(
      fc.property(fc.constantFrom<Unit>('bytes', 'milliseconds'), text, (unit, input) => {
        assert.equal(parseQuantity(input, unit) !== undefined, new RegExp(patternOf(unit)).test(input))
      }),
    )
  })
})
