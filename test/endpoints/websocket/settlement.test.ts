/** In a relay: a browser knows that its message is safe, and knows it only when it is. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { errors } from '../../../lib/errors.ts'
import type { Settle } from '../../../lib/types.ts'
import { connect, type TestClient } from '../../support/client.ts'
import type { TestEndpoint } from '../../support/core.ts'
import type { Owner } from '../../support/process.ts'
import { configOf, relayServer, testType } from '../../support/relay.ts'
import { until, within } from '../../support/wait.ts'
import { messageOf, told } from './acknowledging.ts'

interface Setup {
  readonly server: FastifyInstance
  readonly made: Map<string, TestEndpoint>
  open(protocols?: string[]): Promise<TestClient>
}

/** Browsers whose messages go to the targets named, which confirm. */
async function setup(t: Owner, targets: readonly object[], { acknowledge = 'required' } = {}): Promise<Setup> {
  const { type, made } = testType({ confirm: true })
  const browsers = { id: 'endpoint-websocket', path: '/ws', acknowledge }
  const store = { id: 'endpoint-test' }
  const config = configOf({ browsers, one: store, two: store, dead: store }, { browsers: targets })
  const server = await relayServer(t, { config, types: [type] })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const open = (protocols = ['araldo.v1']) => connect(`ws://127.0.0.1:${port}/ws`, { t, protocols })
  return { server, made, open }
}

function types(answers: readonly unknown[]): string[] {
  return (answers as { type: string; id: string }[]).map(({ type, id }) => `${type} ${id}`)
}

describe('an acknowledging endpoint in a relay', () => {
  test('promises at least once with `required` and a target that confirms; at most once with `allowed`', async (t) => {
    for (const [acknowledge, guarantee] of [
      ['required', 'at-least-once'],
      ['allowed', 'at-most-once'],
    ] as const) {
      const { server } = await setup(t, [{ to: 'one' }], { acknowledge })
      assert.equal(server.araldo.routes[0]?.lanes[0]?.guarantee, guarantee)
    }
  })

  test('acknowledges when every required target has confirmed, whatever an optional one does', async (t) => {
    const { made, open } = await setup(t, [{ to: 'one' }, { to: 'two' }, { to: 'dead', optional: true }])
    const settles: Settle[] = []
    for (const endpoint of made.values())
      endpoint.onSend = (_message, settle) => settles.push(settle as Settle) && undefined
    const client = await open()
    await client.send(messageOf('1'))
    await until(() => settles.length === 3)
    settles[0]?.(null)
    assert.deepEqual(await told(client), [])
    settles[1]?.(null)
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
    settles[2]?.(null)
  })

  test('says nothing while a target is down, and acknowledges when it is back', async (t) => {
    const { made, open } = await setup(t, [{ to: 'one' }])
    const one = made.get('one') as TestEndpoint
    one.onSend = (_message, settle) => settle?.(null)
    let heal = (): void => {}
    one.onConnect = () => new Promise<void>((resolve) => (heal = resolve))
    one.break()
    const client = await open()
    for (const id of ['1', '2', '3']) await client.send(messageOf(id))
    assert.deepEqual(await told(client), [])
    assert.equal(one.sent.length, 0)
    await until(() => one.state === 'connecting')
    heal()
    assert.deepEqual(types(await client.take(3).then((all) => all.map((text) => JSON.parse(String(text))))), [
      'ack 1',
      'ack 2',
      'ack 3',
    ])
    assert.equal(one.sent.length, 3)
  })

  test('acknowledges what went to the dead letters, and rejects what went nowhere', async (t) => {
    const { made, open } = await setup(t, [{ to: 'one', 'dead-letter': 'dead' }])
    const [one, dead] = [made.get('one') as TestEndpoint, made.get('dead') as TestEndpoint]
    const refuse = (_message: unknown, settle?: Settle): void => settle?.(new errors.TOO_LARGE('one', 1, 2))
    one.onSend = refuse
    dead.onSend = (_message, settle) => settle?.(null)
    const client = await open()
    await client.send(messageOf('1'))
    assert.deepEqual(await client.nextJson(), { type: 'ack', id: '1' })

    const without = await setup(t, [{ to: 'one' }])
    ;(without.made.get('one') as TestEndpoint).onSend = refuse
    const other = await without.open()
    await other.send(messageOf('1'))
    const nack = (await other.nextJson()) as Record<string, unknown>
    assert.deepEqual([nack['type'], nack['code'], nack['retry']], ['nack', 'ARALDO_ERR_TOO_LARGE', false])
  })

  test('with `allowed` serves plain clients beside others, each as it asked', async (t) => {
    const { made, open } = await setup(t, [{ to: 'one' }], { acknowledge: 'allowed' })
    const one = made.get('one') as TestEndpoint
    one.onSend = (_message, settle) => settle?.(null)
    const [client, plain] = [await open(), await open([])]
    await client.send(messageOf('1'))
    await plain.send('"plain"')
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
    assert.deepEqual(await told(plain), [])
    assert.deepEqual(
      one.sent.map(({ body }) => body),
      ['1', 'plain'],
    )
  })

  test('gives back what is not safe when the relay ends, and acknowledges what becomes so until then', async (t) => {
    const { server, made, open } = await setup(t, [{ to: 'one' }])
    const one = made.get('one') as TestEndpoint
    one.onSend = (message, settle) => void (message.body === 'safe' && setTimeout(() => settle?.(null), 50))
    const client = await open()
    await client.send(messageOf('1', 'safe'))
    await until(() => one.sent.length === 1)
    const closing = server.close()
    await within(closing, { timeout: 20_000 })
    assert.deepEqual(types(client.drain().map((text) => JSON.parse(String(text)))), ['ack 1'])
    assert.equal((await client.closed).code, 1001)
  })

  test('gives back what a target that never answers has', async (t) => {
    const { made, open } = await setup(t, [{ to: 'one' }])
    const one = made.get('one') as TestEndpoint
    const client = await open()
    await client.send(messageOf('1'))
    await until(() => one.sent.length === 1)
    await one.stop()
    const nack = (await client.nextJson()) as Record<string, unknown>
    assert.deepEqual([nack['type'], nack['id'], nack['retry']], ['nack', '1', true])
  })

  test('pauses both kinds of clients while a lane is full, and loses nothing of either', async (t) => {
    const lane = { to: 'one', buffer: { messages: 8 } }
    const { server, made, open } = await setup(t, [lane], { acknowledge: 'allowed' })
    const one = made.get('one') as TestEndpoint
    const settles: Settle[] = []
    one.onSend = (_message, settle) => void settles.push(settle as Settle)
    const [client, plain] = [await open(), await open([])]
    for (let number = 0; number < 100; number++) {
      client.socket.send(messageOf(String(number)))
      plain.socket.send(JSON.stringify(`plain ${number}`))
    }
    let answered = 0
    while (answered < 200) {
      await until(() => settles.length > 0)
      const { outbox } = server.araldo.routes[0]?.lanes[0] ?? {}
      assert.ok((outbox?.messages ?? 99) <= 8)
      answered += settles.length
      for (const settle of settles.splice(0)) settle(null)
    }
    assert.equal((await client.take(100)).length, 100)
    const { dropped, delivered } = server.araldo.routes[0]?.lanes[0]?.ledger ?? {}
    assert.equal(delivered, 200)
    assert.equal(
      Object.values(dropped ?? {}).reduce((sum, count) => sum + count, 0),
      0,
    )
  })
})
