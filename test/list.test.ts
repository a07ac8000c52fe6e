/** Lists of what is under way, held to what an array does. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { List, Listed } from '../lib/list.ts'

class Item extends Listed {
  readonly number: number

  constructor(number: number) {
    super()
    this.number = number
  }
}

describe('a list', () => {
  test('is in the order in which they came, whichever are taken out, and in whatever order', () => {
    const commands = fc.array(fc.oneof(fc.constant('add' as const), fc.nat(20)), { maxLength: 200 })
    fc.assert(
      fc.property(commands, (all) => {
        const list = new List<Item>()
        const expected: Item[] = []
        let count = 0
        for (const command of all) {
          if (command === 'add') {
            const item = new Item(count++)
            list.add(item)
            expected.push(item)
          } else {
            const [item] = expected.splice(command % Math.max(1, expected.length), 1)
            if (item !== undefined)
              assert.deepEqual([list.has(item), list.delete(item), list.has(item)], [true, true, false])
          }
          assert.deepEqual(
            list.items().map(({ number }) => number),
            expected.map(({ number }) => number),
          )
          assert.equal(list.size, expected.length)
          assert.equal(list.first, expected[0])
        }
      }),
    )
  })

  test('has nothing of another, and what was taken out once is not there', () => {
    const [one, other] = [new List<Item>(), new List<Item>()]
    const [mine, theirs] = [new Item(1), new Item(2)]
    one.add(mine)
    other.add(theirs)
    assert.deepEqual([one.has(theirs), one.delete(theirs), other.size], [false, false, 1])
    assert.deepEqual([one.delete(mine), one.delete(mine), one.size, one.first], [true, false, 0, undefined])
  })

  test('keeps nothing of what came later in what was taken out', () => {
    const list = new List<Item>()
    const items = [new Item(0), new Item(1), new Item(2)] as const
    for (const item of items) list.add(item)
    list.delete(items[1])
    list.delete(items[0])
    for (const { previous, next } of items) assert.deepEqual([previous, next], [undefined, undefined])
  })
})
