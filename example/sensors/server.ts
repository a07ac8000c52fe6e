/**
 * A page that shows what sensors publish by MQTT, as it comes.
 *
 *     npx tsx example/sensors/server.ts
 *     mosquitto_pub -t sensors/kitchen/temperature -m 21.5
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import araldo from 'araldo'

const port = Number(process.env.PORT ?? 54321)
const fastify = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
await fastify.register(araldo, { config: fileURLToPath(new URL('./araldo.yaml', import.meta.url)) })

fastify.get('/', async (_request, reply) => {
  reply.type('text/html; charset=utf-8')
  return readFile(new URL('./page.html', import.meta.url), 'utf8')
})

await fastify.listen({ host: 'localhost', port })
console.log(`
  sensors     http://localhost:${port}/
  live view   http://localhost:${port}/console

  a measurement:
    mosquitto_pub -t sensors/kitchen/temperature -m 21.5

  Ctrl-C ends it.
`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fastify.close())
