import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { carriesHops, HopGuard, HOPS_HEADER, instanceOf, MAX_HOPS, parseHops } from '../lib/hops.ts'
import { Message } from '../lib/message.ts'
import { counting } from './support/core.ts'

function guard(endpoint = 'out') {
  const loops: string[] = []
  const own = new HopGuard({ instance: 'r1', endpoint, onFirstLoop: () => loops.push(endpoint) })
  return { own, loops }
}

function message(hops?: string): Message {
  const headers: Record<string, string> = { user: 'ada' }
  if (hops !== undefined) headers[HOPS_HEADER] = hops
  return new Message({ source: 'in', marshaller: counting(), body: 1, headers, topic: 't', key: 'k' })
}

describe('the hops of a message', () => {
  it('are those before, and the target at the end; nothing else changes', () => {
    const { own } = guard()
    const sent = message()
    const passed = own.apply(sent)
    assert.deepEqual({ ...passed?.headers }, { user: 'ada', [HOPS_HEADER]: 'r1/out' })
    assert.deepEqual([passed?.id, passed?.topic, passed?.key, passed?.body], [sent.id, 't', 'k', 1])
    assert.deepEqual({ ...sent.headers }, { user: 'ada' })
    assert.equal(own.apply(message('r2/a,r1/b'))?.headers[HOPS_HEADER], 'r2/a, r1/b, r1/out')
  })

  it('are one object for all messages without headers, which nobody can write to', () => {
    const { own } = guard()
    const [one, other] = [1, 2].map((body) => own.apply(new Message({ source: 'in', marshaller: counting(), body })))
    assert.deepEqual({ ...one?.headers }, { [HOPS_HEADER]: 'r1/out' })
    assert.equal(one?.headers, other?.headers)
    assert.ok(Object.isFrozen(one?.headers))
  })

  it('let it pass the target once, and others of the relay', () => {
    const { own, loops } = guard()
    const passed = own.apply(message()) ?? assert.fail()
    assert.equal(own.apply(passed), null)
    assert.equal(own.apply(passed), null)
    assert.deepEqual([own.looped, loops], [2, ['out']])
    const other = guard('other').own.apply(passed)
    assert.equal(other?.headers[HOPS_HEADER], 'r1/out, r1/other')
    assert.equal(own.apply(other ?? assert.fail()), null)
    assert.ok(own.apply(message('r2/out, r1/outer, r1/ou, xr1/out, r1/out/x')))
  })

  it(`are ${MAX_HOPS} at most: one that goes on is a permanent error`, () => {
    const { own } = guard()
    const hops = Array.from({ length: MAX_HOPS - 1 }, (_, index) => `r${index + 2}/out`)
    const last = own.apply(message(hops.join(','))) ?? assert.fail()
    assert.equal(parseHops(last.headers[HOPS_HEADER]).length, MAX_HOPS)
    const next = new HopGuard({ instance: 'r1000', endpoint: 'out', onFirstLoop: () => {} })
    assert.throws(() => next.apply(last), { code: 'ARALDO_ERR_TOO_MANY_HOPS', retryable: false, dropReason: 'invalid' })
    assert.equal(own.apply(last), null)
  })

  it('fit the header, however long the names', () => {
    const name = 'n'.repeat(64)
    const hop = `${name}/${name}`
    assert.equal(parseHops(Array.from({ length: MAX_HOPS }, () => hop).join(', ')).length, MAX_HOPS)
  })

  it('are what makes sense of a header that somebody else wrote', () => {
    for (const [header, hops] of [
      ['', []],
      [',,, ,', []],
      ['nonsense', []],
      ['/a, a/, a//b, é/a, a/b c', []],
      [' a/b ,\ta/c', ['a/b', 'a/c']],
      [`${'x'.repeat(65)}/a, b/c`, ['b/c']],
      ['a/b,'.repeat(10_000), []],
    ] as const) {
      assert.deepEqual(parseHops(header), hops, header.slice(0, 40))
    }
  })

  it('stay bounded and well formed, whatever the header was', () => {
    const { own } = guard()
    const headers = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('a', '/', ',', ' ', '1') }),
    )
    fc.assert(
      fc.property(headers, (header) => {
        const passed = own.apply(message(header))
        const hops = parseHops(passed?.headers[HOPS_HEADER])
        assert.equal(hops.at(-1), 'r1/out')
        assert.equal(passed?.headers[HOPS_HEADER], hops.join(', '))
        assert.deepEqual(hops.slice(0, -1), parseHops(header))
      }),
      { numRuns: 500 },
    )
  })

  it('are kept where headers go along and somebody may hear them', () => {
    const target = { confirm: false, headers: true, topics: true, echo: false }
    assert.equal(carriesHops(target), false)
    assert.equal(carriesHops({ ...target, echo: true }), true)
    assert.equal(carriesHops({ ...target, shared: true }), true)
    assert.equal(carriesHops({ ...target, shared: true, headers: false }), false)
    assert.equal(carriesHops(null), false)
  })
})

describe("a relay's id in hops", () => {
  const origin = { file: 'conf/araldo.yaml', directory: '/srv/conf', global: { serverPort: 54321 } }

  it('is the one of the config', () => {
    assert.equal(instanceOf({ ...origin, global: { serverPort: 1, instance: 'emea' } }), 'emea')
  })

  it('is the same after a restart, and says nothing of the host', () => {
    assert.equal(instanceOf(origin), instanceOf({ ...origin, file: './araldo.yaml' }))
    assert.match(instanceOf(origin), /^i[0-9a-f]{18}$/)
    assert.ok(!instanceOf(origin).includes(hostname()))
  })

  it('is another where another relay could have the same config', () => {
    const ids = [
      origin,
      { ...origin, directory: '/srv/other' },
      { ...origin, file: 'conf/b.yaml' },
      { ...origin, global: { serverPort: 1 } },
      { ...origin, file: undefined },
      { ...origin, file: undefined },
      { ...origin, global: { serverPort: 0 } },
      { ...origin, global: { serverPort: 0 } },
    ].map(instanceOf)
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.deepEqual(parseHops(`${id}/a`), [`${id}/a`])
  })
})
