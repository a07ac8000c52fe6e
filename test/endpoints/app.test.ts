import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AppEndpoint, endpointApp } from '../../lib/endpoints/app.ts'
import { Message } from '../../lib/message.ts'
import { contextOf, counting, recordingLog } from '../support/core.ts'

function create() {
  const { log, lines } = recordingLog()
  const endpoint = new AppEndpoint(contextOf('app', { log }))
  endpoint.start()
  const send = (body: unknown): Message => {
    const message = new Message({ source: 'in', marshaller: counting(), body })
    endpoint.send(message)
    return message
  }
  return { endpoint, send, lines }
}

/** The body of what an iterator gave; undefined where it has ended. */
async function bodyOf(result: Promise<IteratorResult<Message, unknown>>): Promise<unknown> {
  const { value, done } = await result
  return done === true ? undefined : value.body
}

/** Everything that a for-await loop over it would see, once it has ended. */
async function collect(messages: AsyncIterable<Message>): Promise<unknown[]> {
  const bodies: unknown[] = []
  for await (const message of messages) bodies.push(message.body)
  return bodies
}

describe('endpoint-app', () => {
  it('is a source that is told what became of its messages, and a target that confirms by returning', () => {
    const { source, target } = endpointApp.capabilities({})
    assert.equal(source?.ack, true)
    assert.equal(target?.confirm, false)
  })
})

describe('a subscriber of the application', () => {
  it('is called with each message, and not any more when it has left', () => {
    const { endpoint, send } = create()
    const seen: Message[] = []
    const unsubscribe = endpoint.subscribe((message) => void seen.push(message))
    const message = send(1)
    assert.equal(endpoint.gauges.subscribers, 1)
    unsubscribe()
    unsubscribe()
    send(2)
    assert.deepEqual(seen, [message])
    assert.equal(endpoint.gauges.subscribers, 0)
  })

  it('is called twice when it subscribed twice, and leaves once at a time', () => {
    const { endpoint, send } = create()
    let calls = 0
    const handler = (): void => void calls++
    const unsubscribe = endpoint.subscribe(handler)
    endpoint.subscribe(handler)
    send(1)
    unsubscribe()
    send(2)
    assert.equal(calls, 3)
  })

  it('leaves when its signal aborts, and never joins when it has aborted before', () => {
    const { endpoint, send } = create()
    const abort = new AbortController()
    let calls = 0
    endpoint.subscribe(() => void calls++, { signal: abort.signal })
    send(1)
    abort.abort()
    endpoint.subscribe(() => void calls++, { signal: abort.signal })
    send(2)
    assert.equal(calls, 1)
  })

  it('harms nobody else when it throws or rejects: that is logged and counted', async () => {
    const { endpoint, send, lines } = create()
    let calls = 0
    endpoint.subscribe(() => {
      throw new Error('thrown')
    })
    endpoint.subscribe(async () => {
      throw new Error('rejected')
    })
    endpoint.subscribe(() => void calls++)
    send(1)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(calls, 1)
    assert.equal(endpoint.counters.handlerErrors, 2)
    assert.equal(lines.filter((line) => line.msg === 'a subscriber of the application failed').length, 2)
  })

  it('may return anything: only a promise is waited for', () => {
    const { endpoint, send } = create()
    const returned: unknown[] = [1, 'text', null, {}, Object.fromEntries([['then', 'no function']])]
    for (const value of returned) endpoint.subscribe((() => value) as () => void)
    send(1)
    assert.equal(endpoint.counters.handlerErrors, 0)
  })

  it('may subscribe and leave while it is called: that counts from the next message on', () => {
    const { endpoint, send } = create()
    let calls = 0
    const again = (): void => {
      calls++
      endpoint.subscribe(again)
    }
    endpoint.subscribe(again)
    const first = endpoint.subscribe(() => leaveBoth())
    const second = endpoint.subscribe(() => void calls++)
    const leaveBoth = (): void => {
      first()
      second()
    }
    send(1)
    assert.equal(calls, 2)
    send(2)
    assert.equal(calls, 4)
  })

  it('is let go of when the relay closes, and one that comes later is not kept', async () => {
    const { endpoint } = create()
    endpoint.subscribe(() => {})
    await endpoint.stop()
    endpoint.subscribe(() => {})
    assert.equal(endpoint.gauges.subscribers, 0)
  })
})

describe('an iterator of the application', () => {
  it('gives what came while nobody read, then waits for more, in order', async () => {
    const { endpoint, send } = create()
    const iterator = endpoint.iterate()
    send(1)
    send(2)
    assert.equal(await bodyOf(iterator.next()), 1)
    assert.equal(await bodyOf(iterator.next()), 2)
    const [third, fourth] = [iterator.next(), iterator.next()]
    send(3)
    send(4)
    assert.equal(await bodyOf(third), 3)
    assert.equal(await bodyOf(fourth), 4)
  })

  it('keeps as many as its limit for a slow reader, the newest, and counts what went', async () => {
    const { endpoint, send } = create()
    const iterator = endpoint.iterate({ limit: 3 })
    for (let count = 0; count < 10; count++) send(count)
    assert.equal(endpoint.counters.iteratorDropped, 7)
    await endpoint.stop()
    assert.deepEqual(await collect(iterator), [7, 8, 9])
  })

  it('keeps a thousand if its reader says nothing', () => {
    const { endpoint, send } = create()
    endpoint.iterate()
    for (let count = 0; count < 1_002; count++) send(count)
    assert.equal(endpoint.counters.iteratorDropped, 2)
  })

  it('refuses a limit that is none', () => {
    const { endpoint } = create()
    for (const limit of [0, -1, 1.5, Number.NaN, Infinity, '10' as unknown as number]) {
      assert.throws(() => endpoint.iterate({ limit }), { code: 'ARALDO_ERR_LIMIT_INVALID' })
    }
  })

  it('ends when its loop is left, and costs nothing from then on', async () => {
    const { endpoint, send } = create()
    const iterator = endpoint.iterate({ limit: 1 })
    send(1)
    for await (const message of iterator) {
      assert.equal(message.body, 1)
      break
    }
    assert.equal(endpoint.gauges.subscribers, 0)
    send(2)
    send(3)
    assert.equal(endpoint.counters.iteratorDropped, 0)
    assert.deepEqual(await iterator.next(), { value: undefined, done: true })
  })

  it('ends its waiting readers when its signal aborts and when the relay closes', async () => {
    const { endpoint } = create()
    const abort = new AbortController()
    const aborted = endpoint.iterate({ signal: abort.signal }).next()
    const closed = endpoint.iterate().next()
    abort.abort()
    assert.equal((await aborted).done, true)
    assert.equal(endpoint.gauges.subscribers, 1)
    await endpoint.stop()
    assert.equal((await closed).done, true)
    assert.deepEqual(await collect(endpoint.iterate()), [])
    assert.deepEqual(await collect(endpoint.iterate({ signal: abort.signal })), [])
  })
})
