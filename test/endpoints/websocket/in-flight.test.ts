/** Messages that have no answer yet: how many, what becomes of them when somebody leaves, and at the end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../support/client.ts'
import { until, within } from '../../support/wait.ts'
import { messageOf, type Pending, SESSION, settleAll, start, told } from './acknowledging.ts'

describe('too much that has no answer', () => {
  test('has the client wait: nothing more is taken in than the bound, and all of it in the end, in order', async (t) => {
    const { pending, open, endpoint } = await start(t, { 'max-in-flight': 8 })
    const client = await open()
    const other = await open()
    const bodies = Array.from({ length: 500 }, (_, number) => number)
    for (const number of bodies) client.socket.send(messageOf(String(number), number))
    await until(() => pending.length === 8)
    await other.send(messageOf('other', 'other'))
    await until(() => pending.length === 9)
    assert.equal(endpoint.gauges.inFlight, 9)
    const taken: unknown[] = []
    while (taken.length < 501) {
      await until(() => pending.length > 0)
      assert.ok((endpoint.gauges.inFlight as number) <= 9)
      const next = pending.shift() as Pending
      taken.push(next.message.body)
      next.settle(null)
    }
    assert.deepEqual(
      taken.filter((body) => body !== 'other'),
      bodies,
    )
    assert.equal((await client.take(500)).length, 500)
    assert.deepEqual(await told(other), [{ type: 'ack', id: 'other' }])
  })

  test('is counted in bytes, too', async (t) => {
    const { pending, open } = await start(t, { limit: 64 * 1024 })
    const client = await open()
    for (let number = 0; number < 8; number++) client.socket.send(messageOf(String(number), 'x'.repeat(30_000)))
    await until(() => pending.length === 3)
    settleAll(pending.splice(0, 1).concat(pending.splice(0, 1)))
    await until(() => pending.length === 3)
    while (pending.length > 0) {
      assert.ok(pending.length <= 3)
      settleAll(pending.splice(0, 1))
      await client.next()
    }
  })

  test('is counted in bytes of the whole frame: headers are kept, too', async (t) => {
    const { pending, open } = await start(t, { limit: 64 * 1024 })
    const client = await open()
    const headers = { note: 'x'.repeat(30_000) }
    for (let number = 0; number < 8; number++) {
      client.socket.send(JSON.stringify({ type: 'message', id: String(number), headers, body: 1 }))
    }
    await until(() => pending.length === 3)
    while (pending.length > 0) {
      assert.ok(pending.length <= 3)
      settleAll(pending.splice(0, 1))
      await client.next()
    }
  })

  test('of one bound after the other: with max-in-flight 1 each waits for the one before', async (t) => {
    const { pending, open } = await start(t, { 'max-in-flight': 1 })
    const client = await open()
    for (let number = 0; number < 20; number++) client.socket.send(messageOf(String(number), number))
    for (let number = 0; number < 20; number++) {
      await until(() => pending.length === 1)
      assert.equal(pending[0]?.message.body, number)
      settleAll(pending)
      assert.deepEqual(await client.nextJson(), { type: 'ack', id: String(number) })
    }
  })

  test('does not have the client cut off for pings that it cannot be heard to answer', async (t) => {
    const { pending, open, endpoint } = await start(t, { 'max-in-flight': 1, 'ping-interval': 10, 'ping-timeout': 10 })
    const client = await open()
    await client.send(messageOf('1'))
    await until(() => pending.length === 1)
    await until(() => client.pings >= 5)
    assert.equal(endpoint.gauges.connections, 1)
    settleAll(pending)
    assert.deepEqual(await client.nextJson(), { type: 'ack', id: '1' })
    await client.roundTrip()
    assert.equal(endpoint.counters.pingTimeouts, 0)
  })

  test('does not hide that the client has gone', async (t) => {
    const { pending, open, endpoint } = await start(t, { 'max-in-flight': 1, 'ping-interval': 10 })
    const client = await open()
    await client.send(messageOf('1'))
    await until(() => pending.length === 1)
    client.terminate()
    await until(() => endpoint.gauges.connections === 0)
    settleAll(pending)
  })
})

describe('while the relay asks for a pause', () => {
  test('nothing is taken in and nothing is lost, of plain and of other clients', async (t) => {
    const { host, open, endpoint } = await start(t)
    const bodies: unknown[] = []
    endpoint.bind((message, settle) => {
      bodies.push(message.body)
      settle?.(null)
    })
    const [plain, client] = [await connect(`ws://${host}/ws`, { t }), await open()]
    for (const each of [plain, client]) await each.roundTrip()
    endpoint.hold()
    const sent = Array.from({ length: 50 }, (_, number) => number)
    for (const number of sent) {
      plain.socket.send(JSON.stringify(`plain ${number}`))
      client.socket.send(messageOf(String(number), `acknowledged ${number}`))
    }
    await Promise.all([plain.send('"last"'), client.send(messageOf('last'))])
    assert.deepEqual(bodies, [])
    endpoint.release()
    await client.take(51)
    await plain.roundTrip()
    assert.equal(bodies.length, 102)
    for (const kind of ['plain', 'acknowledged']) {
      const came: unknown[] = bodies.filter((body) => String(body).startsWith(`${kind} `))
      assert.deepEqual(
        came,
        sent.map((number) => `${kind} ${number}`),
      )
    }
  })

  test('what was settled meanwhile is answered, but no more is read', async (t) => {
    const { pending, open, endpoint } = await start(t, { 'max-in-flight': 2 })
    const client = await open()
    for (let number = 0; number < 6; number++) client.socket.send(messageOf(String(number)))
    await until(() => pending.length === 2)
    endpoint.hold()
    settleAll(pending)
    assert.equal((await client.take(2)).length, 2)
    assert.equal(pending.length, 0)
    endpoint.release()
    await until(() => pending.length === 2)
    settleAll(pending)
    await until(() => pending.length === 2)
    settleAll(pending)
    await client.take(4)
  })
})

describe('a client that leaves', () => {
  test('is told nothing more, nor is anybody else', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    await client.send({ type: 'session', session: SESSION })
    await client.send(messageOf('1'))
    await until(() => pending.length === 1)
    client.terminate()
    await until(() => endpoint.gauges.connections === 0)
    assert.equal(endpoint.gauges.inFlight, 0)
    const again = await open()
    await again.send({ type: 'session', session: SESSION })
    await again.roundTrip()
    settleAll(pending)
    assert.deepEqual(await told(again), [])
    // It did not hear of it and sends it again: the same message, to whoever looks at its id.
    await again.send(messageOf('1'))
    await until(() => pending.length === 1)
    settleAll(pending)
    assert.deepEqual(await told(again), [{ type: 'ack', id: '1' }])
  })
})

describe('the end', () => {
  test('gives back what has no answer, before 1001', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    for (const id of ['1', '2', '3']) await client.send(messageOf(id))
    await client.roundTrip()
    pending[1]?.settle(null)
    await client.next()
    await within(endpoint.stop())
    const nack = { type: 'nack', code: 'ARALDO_ERR_CLOSING', reason: 'the server is going away', retry: true }
    assert.deepEqual(
      client.drain().map((text) => JSON.parse(String(text)) as unknown),
      [
        { ...nack, id: '1' },
        { ...nack, id: '3' },
      ],
    )
    assert.equal((await client.closed).code, 1001)
    settleAll(pending)
  })

  test('is told to whoever sends in the last moments, and what is settled then is acknowledged', async (t) => {
    const { pending, open, endpoint } = await start(t)
    const client = await open()
    await client.send(messageOf('1'))
    await until(() => pending.length === 1)
    await endpoint.pause()
    await client.send(messageOf('2'))
    const [nack] = (await told(client)) as { id: string; code: string; retry: boolean }[]
    assert.deepEqual([nack?.id, nack?.code, nack?.retry], ['2', 'ARALDO_ERR_CLOSING', true])
    settleAll(pending)
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
  })

  test('answers what was read and held back, and is not held up by clients that are not read from', async (t) => {
    const { open, endpoint } = await start(t)
    const client = await open()
    endpoint.hold()
    await client.send(messageOf('1'))
    const started = performance.now()
    await within(endpoint.stop())
    assert.equal((await client.closed).code, 1001)
    assert.ok(performance.now() - started < 1_500, 'its close frame was read')
  })
})
