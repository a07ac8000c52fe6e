/**
 * araldo inside an application: relay routes beside REST handlers, and a WebSocket endpoint that asks for a token.
 *
 *     npx tsx example/app.ts
 *     curl -X POST localhost:3000/login -H 'content-type: application/json' -d '{"user":"ada"}'
 *     npx wscat -c 'ws://localhost:3000/live?token=…'
 *     curl -X POST localhost:3000/orders -H 'content-type: application/json' -d '{"item":"lute","total":250}'
 */
import { fileURLToPath } from 'node:url'
import jwt from '@fastify/jwt'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import araldo from 'araldo'

interface Order {
  readonly item: string
  readonly total: number
}

const config = {
  plugins: {
    'araldo.endpoints.endpoint': [
      { name: 'orders', id: 'endpoint-app' },
      { name: 'dashboards', id: 'endpoint-websocket', path: '/live' },
      { name: 'audit', id: 'endpoint-app' },
    ],
  },
  routes: {
    orders: ['dashboards', { to: 'audit', when: 'body.total > 100.0' }],
  },
}

export async function build(secret: string): Promise<FastifyInstance> {
  const fastify = Fastify({ logger: { level: 'warn' } })
  await fastify.register(jwt, { secret })

  // A browser cannot set headers on a WebSocket: the token comes in the query. A refusal ends the upgrade with 401.
  const authenticate = async (request: FastifyRequest): Promise<void> => {
    const { token = '' } = request.query as { token?: string }
    try {
      fastify.jwt.verify(token)
    } catch {
      throw Object.assign(new Error('a valid token is needed'), { statusCode: 401 })
    }
  }
  await fastify.register(araldo, { config, hooks: { dashboards: { preValidation: authenticate } } })

  fastify.post<{ Body: { user: string } }>('/login', { schema: { body: login } }, async (request) => ({
    token: fastify.jwt.sign({ sub: request.body.user }, { expiresIn: '1h' }),
  }))

  fastify.post<{ Body: Order }>('/orders', { schema: { body: order } }, async (request, reply) => {
    const id = await fastify.araldo.publish('orders', request.body, { key: request.body.item })
    reply.code(202)
    return { id }
  })

  const large: Order[] = []
  fastify.araldo.subscribe('audit', (message) => {
    large.push(message.body as Order)
    if (large.length > 100) large.shift()
  })
  fastify.get('/audit', async () => large)
  return fastify
}

const login = { type: 'object', required: ['user'], properties: { user: { type: 'string', maxLength: 100 } } }
const order = {
  type: 'object',
  required: ['item', 'total'],
  properties: { item: { type: 'string', maxLength: 200 }, total: { type: 'number', minimum: 0 } },
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fastify = await build(process.env.JWT_SECRET ?? 'only-for-trying-it-out')
  const port = Number(process.env.PORT ?? 3000)
  await fastify.listen({ host: 'localhost', port })
  console.log(`listening at http://localhost:${port}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fastify.close())
}
