/** endpoint-jetstream as a target. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { DiscardPolicy } from '@nats-io/jetstream'
import { type NatsServer, startNats } from '../../../support/nats.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { numbers, outside, startJetStream } from './support.ts'

/** Code, and whether it may be tried again. */
function kindOf(error: Error | null): string {
  if (error === null) return 'stored'
  const { code = '', retryable } = error as { code?: string; retryable?: boolean }
  return `${code.replace('ARALDO_ERR_', '')} ${retryable === true ? 'for now' : 'for good'}`
}

describe('endpoint-jetstream as a target', { skip: need('nats-server') }, () => {
  let nats: NatsServer
  before(async () => {
    const denied = { user: 'u', password: 'p', permissions: { publish: { deny: 'forbidden.>' } } }
    const config = `max_payload: 65536\nauthorization { users: ${JSON.stringify([denied, { user: 'a', password: 'a' }])} }\nno_auth_user: a`
    nats = await startNats({ jetStream: true, config })
  })

  test('stores messages in the order of sending, without waiting for each answer', async (t) => {
    const { name, manager } = await outside(t, nats)
    const options = { url: nats.url, stream: name, topic: name, create: true }
    const { send, endpoint } = await startJetStream(t, options, { routed: false })
    const all = numbers(2_000).map((number) => send(number))
    assert.equal(endpoint.gauges['inFlight'], 2_000)
    assert.ok((await Promise.all(all)).every((error) => error === null))
    assert.equal((await manager.streams.info(name)).state.messages, 2_000)
    for (const seq of [1, 1_000, 2_000]) {
      assert.equal((await manager.streams.getMessage(name, { seq }))?.string(), String(seq - 1))
    }
  })

  test('has a message dropped by the server that it sends again, to the same subject', async (t) => {
    const { name, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [`${name}.*`] })
    const { send, endpoint } = await startJetStream(t, { url: nats.url, topic: '{topic}' })
    for (const topic of ['a', 'a', 'b']) assert.equal(await send('x', { id: 'i', topic: `${name}.${topic}` }), null)
    assert.equal((await manager.streams.info(name)).state.messages, 2)
    assert.equal(endpoint.counters['duplicates'], 1)
    const stored = await manager.streams.getMessage(name, { seq: 1 })
    assert.equal(stored?.header.get('araldo-id'), 'i')
    const plain = await startJetStream(t, { url: nats.url, topic: '{topic}', deduplicate: false })
    for (let time = 0; time < 2; time++) await plain.send('x', { id: 'i', topic: `${name}.a` })
    assert.equal((await manager.streams.info(name)).state.messages, 4)
  })

  test('says what to do where no stream takes the subject', async (t) => {
    const { name } = await outside(t, nats)
    const { send, endpoint } = await startJetStream(t, { url: nats.url, topic: name })
    const error = await send('x')
    assert.equal(kindOf(error), 'SEND_FAILED for now')
    assert.match(
      String(error),
      /no stream takes the subject '.*': create one that does, or set 'stream' and 'create: true'/,
    )
    assert.equal(endpoint.counters['refused'], 1)
  })

  test('tells what may pass from what will not', async (t) => {
    const { name, client, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [name], max_msgs: 1, discard: DiscardPolicy.New, max_msg_size: 1_000 })
    const { send } = await startJetStream(t, { url: nats.url, topic: name })
    assert.equal(kindOf(await send('first')), 'stored')
    assert.equal(kindOf(await send('full')), 'SEND_FAILED for now')
    assert.equal(kindOf(await send(Buffer.alloc(1_001))), 'TOO_LARGE for good')
    assert.equal(kindOf(await send(Buffer.alloc(65_536))), 'TOO_LARGE for good')
    assert.equal(kindOf(await send('x', { headers: { 'Nats-Rollup': 'all' } })), 'HEADER_INVALID for good')
    assert.equal(kindOf(await send('x', { id: 'a\r\nb' })), 'HEADER_INVALID for good')
    client.subscribe('service', { callback: (_error, message) => void message.respond('hello') })
    await client.flush()
    const elsewhere = await startJetStream(t, { url: nats.url, topic: 'service' })
    assert.match(String(await elsewhere.send('x')), /none of JetStream/)
  })

  test('is told at once of what it may not publish, and the others live on', async (t) => {
    const { name, manager } = await outside(t, nats)
    await manager.streams.add({ name, subjects: [name] })
    const { send, endpoint } = await startJetStream(t, {
      url: nats.url,
      username: 'u',
      password: 'p',
      topic: '{topic}',
    })
    const results = await Promise.all([name, 'forbidden.a', name].map((topic) => send('x', { topic })))
    assert.deepEqual(results.map(kindOf), ['stored', 'SEND_FAILED for now', 'stored'])
    assert.match(String(results[1]), /Permissions Violation/)
    assert.equal(endpoint.state, 'up')
  })

  test('takes no more than so many that have no answer', async (t) => {
    const server = await startNats({ jetStream: true, t })
    const { send, endpoint } = await startJetStream(t, { url: server.url, stream: 's', topic: 's', create: true })
    server.pause()
    const all: Promise<Error | null>[] = []
    while (endpoint.ready && all.length < 10_000) all.push(send('x'))
    assert.equal(all.length, 4_000)
    assert.equal(kindOf(await send('one more')), 'OVERFLOW for now')
    server.resume()
    assert.ok((await Promise.all(all)).every((error) => error === null))
    assert.equal(endpoint.ready, true)
  })

  test('loses nothing when the server is killed in the middle: what has no answer is sent again, and stored once', async (t) => {
    const server = await startNats({ jetStream: true, t })
    const { name, manager } = await outside(t, server)
    const options = { url: server.url, stream: name, topic: name, create: true }
    const { send, endpoint } = await startJetStream(t, options, { routed: false })
    const results = numbers(300).map((number) => send(number, { id: number }))
    await results[10]
    await server.kill()
    const unanswered = numbers(300).filter((_, index) => index > 10)
    const failed: string[] = []
    for (const number of unanswered) if ((await results[Number(number)]) !== null) failed.push(number)
    await server.start()
    await until(() => endpoint.state === 'up', { timeout: 10_000 })
    for (const number of failed) assert.equal(await send(number, { id: number }), null)
    const { state } = await manager.streams.info(name)
    const stored: string[] = []
    for (let seq = 1; seq <= state.last_seq; seq++) {
      stored.push((await manager.streams.getMessage(name, { seq }))?.string() ?? '')
    }
    assert.deepEqual(stored.toSorted(), numbers(300).toSorted())
  })
})
