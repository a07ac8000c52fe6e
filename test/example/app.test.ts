import assert from 'node:assert/strict'
import { test } from 'node:test'
import { build } from '../../example/app.ts'
import { connect, UpgradeRefused } from '../support/client.ts'
import { until } from '../support/wait.ts'

test('example/app.ts: REST handlers, a JWT-protected endpoint and relay routes on one server', async (t) => {
  const fastify = await build('a secret of the test')
  t.after(() => fastify.close())
  const base = await fastify.listen({ host: '127.0.0.1', port: 0 })
  const live = `${base.replace('http', 'ws')}/live`

  await assert.rejects(connect(live), (error) => error instanceof UpgradeRefused && error.statusCode === 401)
  await assert.rejects(connect(`${live}?token=forged`), UpgradeRefused)

  const { token } = (await fastify.inject({ method: 'POST', url: '/login', payload: { user: 'ada' } })).json<{
    token: string
  }>()
  const dashboard = await connect(`${live}?token=${token}`, { t })
  for (const order of [
    { item: 'lute', total: 250 },
    { item: 'string', total: 3 },
  ]) {
    assert.equal((await fastify.inject({ method: 'POST', url: '/orders', payload: order })).statusCode, 202)
    assert.deepEqual(await dashboard.nextJson(), order)
  }
  await until(async () => (await fastify.inject('/audit')).json<unknown[]>().length > 0)
  assert.deepEqual(
    (await fastify.inject('/audit')).json(),
    [{ item: 'lute', total: 250 }],
    'only what `when` lets pass',
  )
  assert.equal((await fastify.inject({ method: 'POST', url: '/orders', payload: {} })).statusCode, 400)
})
