/** What endpoint-nats does at a server that is well. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { connect, headers } from '@nats-io/transport-node'
import { recordingLog } from '../../../support/core.ts'
import { type NatsServer, startNats } from '../../../support/nats.ts'
import type { Owner } from '../../../support/process.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import type { Started } from '../../../support/alone.ts'
import { startNatsEndpoint } from '../support.ts'

let nats: NatsServer
let places = 0

/** Another client of the server, and what it hears below a subject of the test's own. */
async function outside(t: Owner): Promise<{
  place: string
  client: Awaited<ReturnType<typeof connect>>
  heard: { subject: string; text: string; headers: Record<string, string[]>; reply: string }[]
}> {
  const place = `place${places++}`
  const client = await connect({ servers: nats.url })
  t.after(() => client.close())
  const heard: { subject: string; text: string; headers: Record<string, string[]>; reply: string }[] = []
  client.subscribe(`${place}.>`, {
    callback: (_error, message) => {
      const all = Object.fromEntries(message.headers ?? [])
      heard.push({ subject: message.subject, text: message.string(), headers: all, reply: message.reply ?? '' })
    },
  })
  await client.flush()
  return { place, client, heard }
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, number) => String(number))

describe('endpoint-nats', { skip: need('nats-server') }, () => {
  before(async () => {
    nats = await startNats({ config: 'max_payload: 65536' })
  })

  test('hears all that its wildcards match, each message with its subject', async (t) => {
    const { place, client } = await outside(t)
    const { texts, incoming } = await startNatsEndpoint(t, {
      url: nats.url,
      subjects: [`${place}.a.*`, `${place}.b.>`],
    })
    for (const each of ['a.1', 'a.1.2', 'b.1', 'b.1.2', 'c']) client.publish(`${place}.${each}`, each)
    assert.deepEqual(await texts(3), ['a.1', 'b.1', 'b.1.2'])
    assert.deepEqual(
      incoming.map(({ message }) => message.topic),
      [`${place}.a.1`, `${place}.b.1`, `${place}.b.1.2`],
    )
  })

  test('shares a queue group: each message comes in at one of its members', async (t) => {
    const { place, client } = await outside(t)
    const options = { url: nats.url, subject: `${place}.x`, queue: 'workers' }
    const members: Started[] = []
    for (let index = 0; index < 3; index++) members.push(await startNatsEndpoint(t, options))
    for (const number of numbers(300)) client.publish(`${place}.x`, number)
    const all = (): string[] => members.flatMap(({ incoming }) => incoming.map(({ text }) => text))
    await until(() => all().length >= 300)
    await client.flush()
    assert.deepEqual(
      all().toSorted((a, b) => Number(a) - Number(b)),
      numbers(300),
    )
    for (const { incoming } of members) assert.ok(incoming.length > 0)
  })

  test('does not hear itself, but another endpoint of the same relay', async (t) => {
    const { place, heard } = await outside(t)
    const options = { url: nats.url, subject: `${place}.x`, topic: `${place}.x` }
    const [one, other] = [await startNatsEndpoint(t, options), await startNatsEndpoint(t, options)]
    await one.send('from one')
    await other.send('from the other')
    assert.deepEqual(await one.texts(1), ['from the other'])
    assert.deepEqual(await other.texts(1), ['from one'])
    await until(() => heard.length === 2)
    const echoing = await startNatsEndpoint(t, { ...options, echo: true })
    await echoing.send('to myself')
    assert.deepEqual(await echoing.texts(1), ['to myself'])
    assert.deepEqual(
      [one, other].map(({ incoming }) => incoming.length),
      [2, 2],
    )
  })

  test('carries id, key, time, media type and headers both ways', async (t) => {
    const { place, client, heard } = await outside(t)
    const { send, texts, incoming } = await startNatsEndpoint(t, {
      url: nats.url,
      subject: `${place}.in`,
      topic: `${place}.out`,
    })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const own = { 'Content-Type': 'x', traceparent, 'araldo-hops': 'a', gruß: '', Größe: '' }
    assert.match(String(await send('x', { headers: own })), /no name of a header/)
    const sent = { 'content-type': 'text/csv', traceparent, 'araldo-hops': 'a', Gruß: 'grün 日本 🎈' }
    assert.match(String(await send('x', { headers: sent })), /no name of a header/)
    const good = { 'content-type': 'text/csv', traceparent, 'araldo-hops': 'a', Region: 'grün 日本 🎈', empty: '' }
    assert.equal(await send('x', { headers: good, id: 'i', key: 'k ü', time: 1_234 }), null)
    await until(() => heard.length === 1)
    assert.deepEqual(heard[0]?.headers, {
      'araldo-id': ['i'],
      'araldo-time': ['1234'],
      'araldo-key': ['k ü'],
      ...Object.fromEntries(Object.entries(good).map(([name, value]) => [name, [value]])),
    })
    const block = headers()
    for (const [name, values] of Object.entries(heard[0]?.headers ?? {})) block.set(name, values[0] ?? '')
    client.publish(`${place}.in`, 'x', { headers: block, reply: '_INBOX.somebody' })
    await texts(1)
    const { message } = incoming[0] as (typeof incoming)[number]
    assert.deepEqual([message.id, message.key, message.time], ['i', 'k ü', 1_234])
    assert.deepEqual({ ...message.headers }, good)
  })

  test('takes a message in whose headers the library cannot read, without them', async (t) => {
    const { place } = await outside(t)
    const { texts, endpoint, incoming } = await startNatsEndpoint(t, { url: nats.url, subject: `${place}.x` })
    const { createConnection } = await import('node:net')
    const socket = createConnection(nats.port, nats.host)
    t.after(() => socket.destroy())
    const block = 'NATS/1.0\r\nmy name: x\r\n\r\n'
    socket.write(
      `CONNECT {"headers":true,"verbose":false}\r\nHPUB ${place}.x ${block.length} ${block.length + 2}\r\n${block}hi\r\n`,
    )
    assert.deepEqual(await texts(1), ['hi'])
    assert.deepEqual(Object.keys(incoming[0]?.message.headers ?? {}), [])
    assert.equal(endpoint.counters['headerErrors'], 1)
  })

  test('without headers sends none, and reads none', async (t) => {
    const { place, client, heard } = await outside(t)
    const options = { url: nats.url, subject: `${place}.in`, topic: `${place}.out`, headers: false }
    const { send, texts, incoming } = await startNatsEndpoint(t, options)
    await send('x', { headers: { 'my name': 'x' } })
    await until(() => heard.length === 1)
    assert.deepEqual(heard[0]?.headers, {})
    const block = headers()
    block.set('region', 'eu')
    client.publish(`${place}.in`, 'y', { headers: block })
    await texts(1)
    assert.deepEqual(Object.keys(incoming[0]?.message.headers ?? {}), [])
  })

  for (const confirm of ['none', 'flush'] as const) {
    test(`refuses for good what is larger than the server takes, and lives on (confirm: ${confirm})`, async (t) => {
      const { place, heard } = await outside(t)
      const { send, endpoint } = await startNatsEndpoint(t, { url: nats.url, topic: `${place}.x`, confirm })
      const tooLarge = await send(Buffer.alloc(65_536))
      assert.deepEqual(
        [(tooLarge as { code?: string }).code, (tooLarge as { retryable?: boolean }).retryable],
        ['ARALDO_ERR_TOO_LARGE', false],
      )
      assert.equal(await send(Buffer.alloc(65_000)), null)
      await until(() => heard.length === 1)
      assert.equal(endpoint.counters.connects, 1)
    })
  }

  test('confirms all messages of a turn by one PING', async (t) => {
    const { place, heard } = await outside(t)
    const { send, endpoint } = await startNatsEndpoint(t, { url: nats.url, topic: `${place}.x`, confirm: 'flush' })
    const all = numbers(1_000).map((number) => send(number))
    assert.equal(endpoint.gauges['inFlight'], 1_000)
    assert.ok((await Promise.all(all)).every((error) => error === null))
    await until(() => heard.length === 1_000)
    assert.deepEqual(
      heard.map(({ text }) => text),
      numbers(1_000),
    )
    assert.equal(endpoint.gauges['inFlight'], 0)
  })

  test('brings what is under way when it is about to stop, and nothing afterwards', async (t) => {
    const { place, client } = await outside(t)
    const { endpoint, incoming } = await startNatsEndpoint(t, { url: nats.url, subject: `${place}.x` })
    for (const number of numbers(500)) client.publish(`${place}.x`, number)
    await client.flush()
    await endpoint.pause()
    assert.equal(incoming.length, 500)
    client.publish(`${place}.x`, 'late')
    await client.flush()
    assert.equal(endpoint.state, 'up')
    assert.equal(incoming.length, 500)
  })

  test('takes nothing in where no route begins at it', async (t) => {
    const { place, client } = await outside(t)
    const { endpoint } = await startNatsEndpoint(t, { url: nats.url, subject: `${place}.x` }, { routed: false })
    client.publish(`${place}.x`, 'x')
    await client.flush()
    assert.equal(endpoint.counters.received, 0)
  })

  test('is saturated while the server reads nothing, and not any more when it does', async (t) => {
    const { place } = await outside(t)
    const server = await startNats({ t })
    const { endpoint, send } = await startNatsEndpoint(t, { url: server.url, topic: `${place}.x` })
    server.pause()
    let sent = 0
    while (endpoint.ready && sent < 10_000) {
      await send(Buffer.alloc(16 * 1024))
      sent++
    }
    assert.equal(endpoint.ready, false)
    assert.ok(sent <= 257, `${sent} messages of 16 KiB`)
    server.resume()
    await until(() => endpoint.ready)
    assert.equal(endpoint.counters.connects, 1)
  })

  test('keeps what it logs free of what peers send', async (t) => {
    const { place } = await outside(t)
    const { log, lines } = recordingLog()
    const { close } = await startNatsEndpoint(t, { url: nats.url, topic: `${place}.x` }, { log })
    await close()
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ['up'],
    )
  })
})
