// Fastify with nothing on it: what every start has to do at the least.
import Fastify from 'fastify'

const fastify = Fastify({ logger: true })
await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.stdout.write('listening at\n')
