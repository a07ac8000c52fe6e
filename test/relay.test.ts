import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../lib/config.ts'
import { errors } from '../lib/errors.ts'
import { AppEndpoint } from '../lib/endpoints/app.ts'
import type { Endpoint } from '../lib/endpoint.ts'
import type { Message } from '../lib/message.ts'
import { Relay } from '../lib/relay.ts'
import type { Settle } from '../lib/types.ts'
import { contextOf, counting, deliveryOf, silentLog, TestEndpoint } from './support/core.ts'
import { until, within } from './support/wait.ts'

interface Setup {
  readonly confirm?: boolean
  readonly required?: boolean
}

/** `in -> out` and `in -> app`, with a relay's life of its own. */
function setUp({ confirm = false, required = false }: Setup = {}) {
  const source = new TestEndpoint(contextOf('in', { marshaller: counting() }))
  const target = new TestEndpoint(contextOf('out', { confirm }))
  const app = new AppEndpoint(contextOf('app'))
  const endpoints = new Map<string, Endpoint>([source, target, app].map((each) => [each.name, each]))
  const config = {
    global: {},
    endpoints: [...endpoints.keys()].map((name) => ({ name, required: required && name === 'out' })),
    routes: [
      {
        source: 'in',
        lanes: ['out', 'app'].map((to) => ({ to, optional: false, wiretap: false, steps: [], delivery: deliveryOf() })),
      },
    ],
  } as unknown as Config
  const relay = new Relay(config, endpoints, silentLog)
  return { relay, source, target, app }
}

describe('publishing', () => {
  it("resolves to the message's id when every lane has it", async () => {
    const { relay, target } = setUp()
    await relay.start(1_000)
    const id = await relay.publish('in', { a: 1 }, { topic: 't', key: 'k', headers: { h: '1' } })
    const [message] = target.sent as [Message]
    assert.equal(message.id, id)
    assert.deepEqual(message.body, { a: 1 })
    assert.deepEqual([message.topic, message.key, message.headers], ['t', 'k', { h: '1' }])
    assert.equal(await relay.publish('in', 1, { id: 'mine' }), 'mine')
    await relay.close(1_000)
  })

  it('waits for targets that confirm', async () => {
    const { relay, target } = setUp({ confirm: true })
    const settles: Settle[] = []
    target.onSend = (_message, settle) => void settles.push(settle as Settle)
    await relay.start(1_000)
    let published = false
    const publishing = relay.publish('in', 1).then(() => (published = true))
    await delay(5)
    assert.equal(published, false)
    settles[0]?.(null)
    await publishing
    await relay.close(1_000)
  })

  it('takes bytes for the payload itself, of whatever kind the array is', async () => {
    const { relay, target } = setUp()
    await relay.start(1_000)
    const bytes = new Uint8Array([0, 0x7b, 0x31, 0xff]).subarray(1)
    const buffer = Buffer.from([1, 2, 3])
    await relay.publish('in', bytes)
    await relay.publish('in', buffer)
    const [first, second] = target.sent as [Message, Message]
    assert.deepEqual([...first.payload], [0x7b, 0x31, 0xff])
    assert.equal(second.payload, buffer)
    await relay.close(1_000)
  })

  it('rejects with what kept it from a target', async () => {
    const { relay, target } = setUp()
    await relay.start(1_000)
    target.onSend = () => {
      throw new errors.TOO_LARGE('out', 1, 2)
    }
    await assert.rejects(relay.publish('in', 1), { code: 'ARALDO_ERR_UNDELIVERABLE', statusCode: 422 })
    await relay.close(1_000)
  })

  it('waits for a target that is down, for as long as the caller likes', async () => {
    const { relay, target } = setUp()
    await relay.start(1_000)
    target.break('the cable')
    const patience = new AbortController()
    const publishing = relay.publish('in', 1, { signal: patience.signal })
    patience.abort(new Error('it took too long'))
    await assert.rejects(publishing, { message: 'it took too long' })
    await assert.rejects(relay.publish('in', 2, { signal: patience.signal }), { message: 'it took too long' })
    const [lane] = [...relay.router.lanes()]
    assert.equal(lane?.messages, 1)
    await relay.close(1_000)
  })

  it('rejects, and names what there is, where there is no such endpoint or no route begins', async () => {
    const { relay } = setUp()
    await relay.start(1_000)
    await assert.rejects(relay.publish('nowhere', 1), {
      code: 'ARALDO_ERR_UNKNOWN_ENDPOINT',
      message: "no endpoint is named 'nowhere'; there are in, out, app",
    })
    await assert.rejects(relay.publish('out', 1), { code: 'ARALDO_ERR_NOT_A_SOURCE' })
    await relay.close(1_000)
  })

  it('rejects before the start and after the end', async () => {
    const { relay } = setUp()
    await assert.rejects(relay.publish('in', 1), { code: 'ARALDO_ERR_ENDPOINT_DOWN' })
    await relay.start(1_000)
    await relay.close(1_000)
    await assert.rejects(relay.publish('in', 1), { code: 'ARALDO_ERR_CLOSING' })
  })
})

describe('subscribing', () => {
  it('gives the application what is routed to it, by call or by iterator', async () => {
    const { relay } = setUp()
    const seen: unknown[] = []
    relay.subscribe('app', (message) => void seen.push(message.body))
    const iterator = relay.subscribe('app', { limit: 1 })
    await relay.start(1_000)
    await relay.publish('in', 1)
    await relay.publish('in', 2)
    assert.deepEqual(seen, [1, 2])
    const rest: unknown[] = []
    await relay.close(1_000)
    for await (const message of iterator) rest.push(message.body)
    assert.deepEqual(rest, [2])
  })

  it('throws where the endpoint is not the application, or not there', () => {
    const { relay } = setUp()
    assert.throws(() => relay.subscribe('out', () => {}), {
      code: 'ARALDO_ERR_NOT_AN_APP',
      message: /'out' is of type endpoint-test/,
    })
    assert.throws(() => relay.subscribe('nowhere'), { code: 'ARALDO_ERR_UNKNOWN_ENDPOINT' })
  })
})

describe('starting a relay', () => {
  it('waits for endpoints that come up soon, and not for ones that do not', async () => {
    const { relay, source, target } = setUp()
    source.onConnect = () => delay(50)
    target.onConnect = () => new Promise(() => {})
    const began = performance.now()
    await relay.start(5_000)
    const took = performance.now() - began
    assert.equal(source.state, 'up')
    assert.equal(target.state, 'connecting')
    assert.ok(took >= 200 && took < 1_500, `it took ${took} ms`)
    await relay.close(2_000)
  })

  it('does not wait for ones that are down', async () => {
    const { relay, target } = setUp()
    target.onConnect = () => Promise.reject(new Error('refused'))
    const began = performance.now()
    await relay.start(5_000)
    assert.ok(performance.now() - began < 200)
    await relay.close(1_000)
  })

  it('starts targets before sources', async () => {
    const { relay, source, target, app } = setUp()
    const order: string[] = []
    for (const endpoint of [source, target, app]) {
      endpoint.onState((state) => void (state === 'up' && order.push(endpoint.name)))
    }
    await relay.start(1_000)
    assert.deepEqual(order, ['out', 'app', 'in'])
    await relay.close(1_000)
  })

  it('waits for a required endpoint, through its failures', async () => {
    const { relay, target } = setUp({ required: true })
    let attempts = 0
    target.onConnect = async () => {
      if (++attempts < 3) throw new Error('not yet')
    }
    await relay.start(5_000)
    assert.equal(target.state, 'up')
    await relay.close(1_000)
  })

  it('fails when a required endpoint does not come up in time, and says why', async () => {
    const { relay, target } = setUp({ required: true })
    target.onConnect = () => Promise.reject(new Error('refused'))
    await assert.rejects(relay.start(300), {
      code: 'ARALDO_ERR_ENDPOINT_REQUIRED',
      message: /'out' is required and did not come up: refused/,
    })
    await relay.close(1_000)
  })

  it('does nothing when the relay is closed already', async () => {
    const { relay, target } = setUp({ required: true })
    await relay.close(1_000)
    await within(relay.start(60_000), { timeout: 100 })
    assert.equal(target.state, 'closed')
  })

  it('fails at once when it is closed while it waits for a required endpoint', async () => {
    const { relay, target } = setUp({ required: true })
    target.onConnect = (signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal)))
    const starting = assert.rejects(relay.start(60_000), { code: 'ARALDO_ERR_ENDPOINT_REQUIRED' })
    await until(() => target.state === 'connecting')
    await relay.close(1_000)
    await within(starting, { timeout: 1_000 })
  })
})

describe('closing a relay', () => {
  it('takes nothing new in, waits for what is under way, then closes the links', async () => {
    const { relay, source, target } = setUp({ confirm: true })
    const order: string[] = []
    const settles: Settle[] = []
    target.onSend = (_message, settle) => void settles.push(settle as Settle)
    source.onQuiesce = () => void order.push('quiesced')
    target.onDisconnect = () => void order.push('disconnected')
    await relay.start(1_000)
    const publishing = relay.publish('in', 1).then(() => order.push('delivered'))
    const closing = relay.close(5_000)
    await until(() => order.length === 1)
    await assert.rejects(relay.publish('in', 2), { code: 'ARALDO_ERR_CLOSING' })
    settles[0]?.(null)
    await Promise.all([publishing, closing])
    assert.deepEqual(order, ['quiesced', 'delivered', 'disconnected'])
    assert.deepEqual(
      relay.routes[0]?.lanes.map(({ ledger }) => [ledger.delivered, ledger.waiting]),
      [
        [1, 0],
        [1, 0],
      ],
    )
  })

  it('ends in time whatever endpoints do', async () => {
    const { relay, source, target } = setUp({ confirm: true })
    source.onQuiesce = () => new Promise(() => {})
    target.onSend = () => {}
    target.onDisconnect = () => delay(10_000, undefined, { ref: false })
    await relay.start(1_000)
    relay.publish('in', 1).catch(() => {})
    const began = performance.now()
    await relay.close(300)
    const took = performance.now() - began
    assert.ok(took >= 250 && took < 1_500, `it took ${took} ms`)
    assert.equal(target.state, 'closing')
  })

  it('happens once', async () => {
    const { relay } = setUp()
    await relay.start(1_000)
    const closing = relay.close(1_000)
    assert.equal(relay.close(1), closing)
    await closing
  })
})

describe('looking at a relay', () => {
  it('shows routes with their steps and figures, which stay as they were', async () => {
    const { relay } = setUp()
    await relay.start(1_000)
    const before = relay.routes
    await relay.publish('in', 'abc')
    assert.equal(before[0]?.lanes[0]?.ledger.received, 0)
    const [route] = relay.routes
    assert.equal(route?.source, 'in')
    const [out] = route?.lanes ?? []
    assert.deepEqual([out?.target, out?.optional, out?.steps], ['out', false, []])
    assert.equal(out?.ledger.delivered, 1)
    await relay.close(1_000)
  })

  it('shows each message that ends in a lane to who watches', async () => {
    const { relay } = setUp()
    await relay.start(1_000)
    const seen: string[] = []
    const unwatch = relay.watch((lane, _message, outcome) => void seen.push(`${lane.target.name} ${outcome}`))
    await relay.publish('in', 1)
    unwatch()
    await relay.publish('in', 1)
    assert.deepEqual(seen, ['out delivered', 'app delivered'])
    await relay.close(1_000)
  })
})
