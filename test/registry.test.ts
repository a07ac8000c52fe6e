import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Registry } from '../lib/registry.ts'

describe('a registry', () => {
  it('finds a type by its id, and says where it came from', () => {
    const registry = new Registry()
    const type = { id: 'endpoint-a' }
    registry.add(type, 'araldo')
    assert.equal(registry.get('endpoint-a'), type)
    assert.equal(registry.originOf('endpoint-a'), 'araldo')
    assert.deepEqual(registry.ids, ['endpoint-a'])
    assert.deepEqual([...registry], [type])
  })

  it('knows nothing that was not added, not even what every object has', () => {
    const registry = new Registry()
    for (const id of ['endpoint-a', '__proto__', 'constructor', 'toString']) {
      assert.equal(registry.get(id), undefined)
      assert.equal(registry.originOf(id), undefined)
    }
  })

  it('takes the same type twice, and keeps its first origin', () => {
    const registry = new Registry()
    const type = { id: 'endpoint-a' }
    registry.add(type, 'araldo')
    registry.add(type, 'the option `types`')
    assert.equal(registry.originOf('endpoint-a'), 'araldo')
    assert.equal(registry.ids.length, 1)
  })

  it('refuses a second type with one id, and names both origins', () => {
    const registry = new Registry()
    registry.add({ id: 'endpoint-a' }, 'araldo')
    assert.throws(() => registry.add({ id: 'endpoint-a' }, 'package araldo-a'), {
      code: 'ARALDO_ERR_TYPE_DUPLICATE',
      message: /'endpoint-a'.*from araldo, one from package araldo-a/,
    })
  })

  it('is not disturbed by being added to while it is walked', () => {
    const registry = new Registry()
    registry.add({ id: 'a' }, 'x')
    for (const { id } of registry) if (id.length < 5) registry.add({ id: `${id}a` }, 'x')
    assert.deepEqual(registry.ids, ['a', 'aa'])
  })
})
