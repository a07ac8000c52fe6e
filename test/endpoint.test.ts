import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import fc from 'fast-check'
import { errors } from '../lib/errors.ts'
import type { Message } from '../lib/message.ts'
import type { EndpointState } from '../lib/types.ts'
import { contextOf, recordingLog, TestEndpoint } from './support/core.ts'

/** Lets everything run that waits for no timer. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Time passes, and what it brings about is done. */
async function pass(milliseconds: number): Promise<void> {
  mock.timers.tick(milliseconds)
  await settled()
}

interface Deferred {
  readonly promise: Promise<void>
  resolve(): void
  reject(error: Error): void
}

function deferred(): Deferred {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

function create(): { endpoint: TestEndpoint; states: EndpointState[] } {
  const endpoint = new TestEndpoint(contextOf('orders'))
  const states: EndpointState[] = [endpoint.state]
  endpoint.onState((state) => states.push(state))
  return { endpoint, states }
}

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
afterEach(() => mock.timers.reset())

describe('an endpoint', () => {
  it('is connecting until it is started, and says that it was not', () => {
    const { endpoint } = create()
    assert.equal(endpoint.state, 'connecting')
    assert.equal(endpoint.reason, 'not started')
  })

  it('is up at once where connecting takes no time', () => {
    const { endpoint, states } = create()
    endpoint.start()
    assert.deepEqual(states, ['connecting', 'connecting', 'up'])
    assert.equal(endpoint.reason, undefined)
    assert.equal(endpoint.counters.connects, 1)
  })

  it('starts once', () => {
    const { endpoint } = create()
    endpoint.start()
    endpoint.start()
    assert.equal(endpoint.counters.connects, 1)
  })

  it('goes down with the reason when it cannot connect, cleans up, and tries again', async () => {
    const { endpoint, states } = create()
    let attempts = 0
    let disconnects = 0
    endpoint.onConnect = async () => {
      if (++attempts < 3) throw new Error(`refused ${attempts}`)
    }
    endpoint.onDisconnect = () => void disconnects++
    endpoint.start()
    await settled()
    assert.equal(endpoint.state, 'down')
    assert.equal(endpoint.reason, 'refused 1')
    await pass(100)
    assert.equal(endpoint.reason, 'refused 2')
    await pass(200)
    assert.equal(endpoint.state, 'up')
    assert.deepEqual(states.slice(1), ['connecting', 'down', 'connecting', 'down', 'connecting', 'up'])
    assert.equal(disconnects, 2)
    assert.deepEqual([endpoint.counters.connects, endpoint.counters.failures], [1, 2])
  })

  it('treats a connect that throws like one that rejects', async () => {
    const { endpoint } = create()
    endpoint.onConnect = () => {
      throw new Error('at once')
    }
    endpoint.start()
    assert.equal(endpoint.reason, 'at once')
    await endpoint.stop()
  })

  it('gives up on a peer that does not answer within 10 s', async () => {
    const { endpoint } = create()
    let signal: AbortSignal | undefined
    endpoint.onConnect = (given) => {
      signal = given
      return new Promise(() => {})
    }
    endpoint.start()
    await pass(9_999)
    assert.equal(signal?.aborted, false)
    await pass(1)
    assert.equal(signal?.aborted, true)
    assert.match(endpoint.reason ?? '', /got no connection within 10000 ms/)
  })

  it('ignores what an attempt that was given up still reports', async () => {
    const { endpoint } = create()
    const connecting = deferred()
    endpoint.onConnect = () => connecting.promise
    endpoint.start()
    endpoint.break('first')
    connecting.resolve()
    await settled()
    assert.equal(endpoint.state, 'down')
    assert.equal(endpoint.reason, 'first')
    assert.equal(endpoint.counters.connects, 0)
  })

  it('disconnects only when connect has ended, or a second after it was told to give up', async () => {
    for (const obeys of [true, false]) {
      const { endpoint } = create()
      const connecting = deferred()
      const calls: string[] = []
      endpoint.onConnect = () => connecting.promise.then(() => void calls.push('connected'))
      endpoint.onDisconnect = () => void calls.push('disconnected')
      endpoint.start()
      endpoint.break()
      await settled()
      await pass(999)
      assert.deepEqual(calls, [])
      if (obeys) connecting.resolve()
      await pass(1)
      assert.deepEqual(calls, obeys ? ['connected', 'disconnected'] : ['disconnected'])
    }
  })

  it('lets a connect that loses its link in the middle come to its end before it disconnects', async () => {
    const { endpoint } = create()
    const calls: string[] = []
    endpoint.onConnect = () => {
      endpoint.break()
      calls.push('connected')
    }
    endpoint.onDisconnect = () => void calls.push('disconnected')
    endpoint.start()
    await settled()
    assert.deepEqual(calls, ['connected', 'disconnected'])
    assert.equal(endpoint.state, 'down')
  })

  it('ignores a lost link when there is none', async () => {
    const { endpoint } = create()
    endpoint.break('before the start')
    assert.equal(endpoint.counters.failures, 0)
    endpoint.start()
    endpoint.break('first')
    endpoint.break('second')
    assert.equal(endpoint.reason, 'first')
    await endpoint.stop()
    endpoint.break('after the end')
    assert.equal(endpoint.state, 'closed')
    assert.equal(endpoint.counters.failures, 1)
  })

  it('tells nobody that it is up after it has told of the loss, though the first to hear of the one brought the other about', () => {
    const endpoint = new TestEndpoint(contextOf('a'))
    endpoint.onReady(() => endpoint.break())
    const heard: string[] = []
    endpoint.onState((state) => heard.push(state))
    endpoint.start()
    assert.deepEqual(heard, ['connecting', 'down'])
    void endpoint.stop()
  })

  it('begins its backoff anew only after a link that held for 10 s', async (t) => {
    let now = 0
    t.mock.method(performance, 'now', () => now)
    t.mock.method(Math, 'random', () => 0.999_999)
    const { endpoint } = create()
    endpoint.start()
    const waits: number[] = []
    for (const held of [0, 0, 0, 9_999, 10_000, 0]) {
      now += held
      endpoint.break()
      await settled()
      let wait = 0
      for (; endpoint.state !== 'up'; wait++) await pass(1)
      waits.push(wait)
    }
    assert.deepEqual(waits, [99, 199, 399, 799, 99, 199])
  })

  it('goes on when a disconnect throws, and when one never ends', async () => {
    const { endpoint } = create()
    endpoint.onDisconnect = () => {
      throw new Error('no order here')
    }
    endpoint.start()
    endpoint.break()
    await pass(0)
    await pass(100)
    assert.equal(endpoint.state, 'up')
    endpoint.onDisconnect = () => new Promise(() => {})
    endpoint.break()
    await settled()
    await pass(5_000)
    await pass(3_000)
    assert.equal(endpoint.state, 'up')
  })

  it('writes one line while its peer stays away for one reason', async () => {
    const { log, lines } = recordingLog()
    const endpoint = new TestEndpoint(contextOf('orders', { log }))
    endpoint.onConnect = () => Promise.reject(new Error('refused'))
    endpoint.start()
    for (let attempt = 0; attempt < 5; attempt++) await pass(3_000)
    assert.ok(endpoint.counters.failures > 3)
    const warnings = lines.filter((line) => line.msg === 'down')
    assert.deepEqual(
      warnings.map((line) => line.reason),
      ['refused'],
    )
  })
})

describe('stopping an endpoint', () => {
  it('ends it from any state, once, and the second call waits for the first', async () => {
    for (const state of ['not started', 'connecting', 'up', 'down'] as const) {
      const { endpoint, states } = create()
      let disconnects = 0
      endpoint.onDisconnect = () => void disconnects++
      if (state === 'connecting') {
        endpoint.onConnect = (signal) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      }
      if (state !== 'not started') endpoint.start()
      if (state === 'down') {
        endpoint.break()
        await settled()
      }
      const before = disconnects
      const stopped = endpoint.stop()
      assert.equal(endpoint.stop(), stopped)
      await stopped
      assert.equal(endpoint.state, 'closed')
      assert.deepEqual(states.slice(-2), ['closing', 'closed'])
      assert.equal(disconnects - before, 1, `one disconnect when stopped while ${state}`)
      endpoint.start()
      await pass(10_000)
      assert.equal(endpoint.state, 'closed')
    }
  })

  it('can be done by who listens to its states, at any of them', async () => {
    for (const when of ['connecting', 'up', 'down', 'closing'] as const) {
      const { endpoint } = create()
      let connects = 0
      let stopped: Promise<void> | undefined
      endpoint.onConnect = () => void connects++
      endpoint.onState((state) => {
        if (state === when) stopped ??= endpoint.stop()
      })
      endpoint.start()
      if (when === 'down') endpoint.break()
      if (when === 'closing') void endpoint.stop()
      await pass(0)
      await stopped
      await pass(10_000)
      assert.equal(endpoint.state, 'closed', when)
      assert.equal(connects, 1)
    }
  })

  it('ends the waiting for its link at once', async () => {
    const { endpoint } = create()
    endpoint.onConnect = () => new Promise(() => {})
    endpoint.start()
    const waiting = assert.rejects(endpoint.whenUp(60_000), { code: 'ARALDO_ERR_ENDPOINT_REQUIRED' })
    const stopping = endpoint.stop()
    await waiting
    await assert.rejects(endpoint.whenUp(60_000), { code: 'ARALDO_ERR_ENDPOINT_REQUIRED' })
    await pass(1_000)
    await stopping
    await assert.rejects(endpoint.whenUp(60_000), /orders.*closed/)
  })
})

describe('waiting for an endpoint to be up', () => {
  it('takes as long as that takes', async () => {
    const { endpoint } = create()
    const connecting = deferred()
    endpoint.onConnect = () => connecting.promise
    endpoint.start()
    const up = endpoint.whenUp(1_000)
    connecting.resolve()
    await up
    await endpoint.whenUp(0)
  })

  it('ends with the reason when its time is over', async () => {
    const { endpoint } = create()
    endpoint.onConnect = () => Promise.reject(new Error('refused'))
    endpoint.start()
    const waiting = assert.rejects(endpoint.whenUp(1_000), { message: /'orders' is required.*refused/ })
    await settled()
    for (let step = 0; step < 20; step++) await pass(50)
    await waiting
  })
})

describe('what comes in at an endpoint', () => {
  function settles(): { results: (Error | null)[]; settle: (error: Error | null) => void } {
    const results: (Error | null)[] = []
    return { results, settle: (error) => results.push(error) }
  }

  it('is counted and handed on, with its settle', () => {
    const { endpoint } = create()
    const accepted: Message[] = []
    endpoint.bind((message, settle) => {
      accepted.push(message)
      settle?.(null)
    })
    endpoint.start()
    const { results, settle } = settles()
    const message = endpoint.feed({ payload: Buffer.from('123') }, settle)
    assert.deepEqual(accepted, [message])
    assert.equal(message.source, 'orders')
    assert.deepEqual(results, [null])
    assert.equal(endpoint.counters.received, 1)
    assert.equal(endpoint.counters.receivedBytes, 3)
  })

  it('is rejected before the start and after the end', async () => {
    const { endpoint } = create()
    endpoint.bind(() => assert.fail('nothing may be handed on'))
    const { results, settle } = settles()
    endpoint.feed({ body: 1 }, settle)
    await endpoint.stop()
    endpoint.feed({ body: 1 }, settle)
    assert.ok(results[0] instanceof errors.ENDPOINT_DOWN)
    assert.ok(results[1] instanceof errors.CLOSING)
    assert.equal(endpoint.counters.received, 0)
  })

  it('is rejected, not forgotten, where no route begins', () => {
    const { endpoint } = create()
    endpoint.start()
    const { results, settle } = settles()
    endpoint.feed({ body: 1 }, settle)
    assert.ok(results[0] instanceof errors.NOT_A_SOURCE)
    assert.equal(endpoint.routed, false)
    endpoint.bind(() => {})
    assert.equal(endpoint.routed, true)
  })

  it('is taken while it quiesces, and refused from then on; the link stays', async () => {
    const { endpoint } = create()
    const quiescing = deferred()
    endpoint.onQuiesce = () => quiescing.promise
    let accepted = 0
    endpoint.bind(() => void accepted++)
    endpoint.start()
    const pausing = endpoint.pause()
    endpoint.feed({ body: 1 })
    quiescing.reject(new Error('logged, no more'))
    await pausing
    endpoint.feed({ body: 2 })
    assert.equal(accepted, 1)
    assert.equal(endpoint.state, 'up')
  })
})

describe('any sequence of events in the life of an endpoint', () => {
  const LEGAL: Readonly<Record<EndpointState, readonly EndpointState[]>> = {
    connecting: ['connecting', 'up', 'down', 'closing'],
    up: ['down', 'closing'],
    down: ['connecting', 'closing'],
    closing: ['closed'],
    closed: [],
  }
  const step = fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('start', 'lost', 'connected', 'refused', 'pause') },
    { weight: 1, arbitrary: fc.constantFrom('disconnected', 'throw next', 'listener stops') },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 12_000 }) },
  )

  /** Plays the events, and checks what must hold at every call and every change. */
  async function play(events: readonly (string | number)[]): Promise<void> {
    const { endpoint, states } = create()
    let now = 0
    let throwNext = false
    let stopAt: EndpointState | undefined
    const connects: (Deferred & { signal: AbortSignal })[] = []
    let disconnect: (Deferred & { since: number }) | undefined
    const wait = async (milliseconds: number): Promise<void> => {
      // In steps, so that no timer that another one sets is late.
      for (let left = milliseconds; left > 0; left -= 500) {
        now += Math.min(500, left)
        mock.timers.tick(Math.min(500, left))
        await settled()
      }
    }
    endpoint.onConnect = (signal) => {
      assert.equal(endpoint.state, 'connecting')
      assert.ok(disconnect === undefined || now - disconnect.since >= 5_000, 'no connect beside a disconnect')
      assert.ok(
        connects.every((earlier) => earlier.signal.aborted),
        'no connect beside one that was not ended',
      )
      if (throwNext) {
        throwNext = false
        throw new Error('thrown')
      }
      const connect = { ...deferred(), signal }
      connects.push(connect)
      return connect.promise
    }
    endpoint.onDisconnect = () => {
      assert.ok(disconnect === undefined || now - disconnect.since >= 5_000, 'no two disconnects at once')
      assert.ok(connects.every((connect) => connect.signal.aborted || endpoint.state !== 'connecting'))
      const own = { ...deferred(), since: now }
      disconnect = own
      return own.promise.finally(() => {
        if (disconnect === own) disconnect = undefined
      })
    }
    endpoint.onState((state) => {
      if (state === stopAt) void endpoint.stop()
    })
    for (const event of events) {
      if (typeof event === 'number') await wait(event)
      else if (event === 'start') endpoint.start()
      else if (event === 'lost') endpoint.break()
      else if (event === 'connected') connects.at(-1)?.resolve()
      else if (event === 'refused') connects.at(-1)?.reject(new Error('refused'))
      else if (event === 'pause') await endpoint.pause()
      else if (event === 'disconnected') disconnect?.resolve()
      else if (event === 'throw next') throwNext = true
      else stopAt = 'down'
      await settled()
      assert.equal(endpoint.reason === undefined, endpoint.state === 'up')
    }
    let stopped = false
    void endpoint.stop().then(() => (stopped = true))
    await settled()
    await wait(15_000)
    assert.ok(stopped, 'stop ends, even when neither connect nor disconnect does')
    assert.equal(endpoint.state, 'closed')
    for (let index = 1; index < states.length; index++) {
      const [from, to] = [states[index - 1] as EndpointState, states[index] as EndpointState]
      assert.ok(LEGAL[from].includes(to), `${from} -> ${to}`)
    }
    const calls = connects.length
    connects.at(-1)?.resolve()
    await wait(10_000)
    assert.equal(connects.length, calls, 'nothing happens after the end')
    assert.equal(endpoint.state, 'closed')
  }

  it('leads through legal states only, never connects beside a disconnect, and can be stopped', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), play), { numRuns: 150 })
  })
})
