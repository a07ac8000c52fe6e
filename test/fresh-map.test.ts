/** Maps for what comes and goes, held to JavaScript's own. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { FreshMap } from '../lib/fresh-map.ts'

describe('a map for what comes and goes', () => {
  test("does as JavaScript's own, however often it is exchanged", () => {
    const command = fc.tuple(fc.constantFrom('set', 'delete', 'clear'), fc.nat(30))
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), fc.nat(1_100), (commands, before) => {
        const fresh = new FreshMap<number, number>()
        const map = new Map<number, number>()
        // The next deletions are those at which it is exchanged.
        for (let number = 0; number < before; number++) {
          fresh.set(-1, number)
          fresh.delete(-1)
        }
        for (const [index, [name, key]] of commands.entries()) {
          if (name === 'set') {
            fresh.set(key, index)
            map.set(key, index)
          } else if (name === 'delete') assert.equal(fresh.delete(key), map.delete(key))
          else if (index % 20 === 0) {
            fresh.clear()
            map.clear()
          }
          assert.deepEqual([fresh.size, fresh.get(key), fresh.has(key)], [map.size, map.get(key), map.has(key)])
          assert.equal(fresh.first, map.values().next().value)
        }
        assert.deepEqual([fresh.keys(), fresh.values(), [...fresh]], [[...map.keys()], [...map.values()], [...map]])
      }),
    )
  })

  test('tells of all that were there at the call, though they are taken out meanwhile', () => {
    const map = new FreshMap<number, number>()
    for (let number = 0; number < 3_000; number++) map.set(number, number)
    let count = 0
    for (const key of map.keys()) {
      map.delete(key)
      map.delete(2_999 - key)
      count++
    }
    assert.deepEqual([count, map.size], [3_000, 0])
  })

  test('gives each once to who takes out what it is given, however often it is exchanged meanwhile', () => {
    const map = new FreshMap<number, number>()
    for (let number = 0; number < 3_000; number++) map.set(number, number)
    const taken: number[] = []
    for (const [key] of map) {
      if (map.delete(key)) taken.push(key)
      // As one that was settled may bring others to their end.
      if (map.delete(2_999 - key)) taken.push(2_999 - key)
    }
    assert.deepEqual([taken.length, new Set(taken).size, map.size], [3_000, 3_000, 0])
  })

  test('keeps nothing of what was taken out from the collector of what is young', () => {
    // With a Map of V8's, all that ever was in it stays once one of its tables is old: 20 MiB here.
    const script = `
      import { FreshMap } from ${JSON.stringify(new URL('../lib/fresh-map.ts', import.meta.url).href)}
      const map = new FreshMap()
      const heapUsed = () => process.memoryUsage().heapUsed / 2 ** 20
      let before
      for (let number = 0; number < 20_000; number++) {
        map.set('key ' + number, new Array(128).fill(number))
        if (number >= 100) map.delete('key ' + (number - 100))
        if (number === 2_000) {
          gc()
          before = heapUsed()
        }
        if (number % 500 === 0) gc({ type: 'minor' })
      }
      gc({ type: 'minor' })
      console.log(heapUsed() - before)
    `
    const args = ['--expose-gc', '--initial-heap-size=512', '--import', 'tsx', '--input-type=module', '--eval', script]
    const growth = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
    assert.ok(growth < 5, `it has grown by ${growth} MiB`)
  })
})
