/**
 * A program that runs a relay with the Redis servers whose URLs are its arguments, closes it when it is told to by a
 * line on its standard input, and must then end by itself. Prints the endpoints' states when it has started, and how
 * long closing took.
 */
import { once } from 'node:events'
import Fastify from 'fastify'
import araldo from '../../../../lib/plugin.ts'

const urls = process.argv.slice(2)
const names = urls.map((_url, index) => `redis-${index}`)
const declared = urls.flatMap((url, index) => [
  { name: `redis-${index}`, id: 'endpoint-redis', url, channel: 'exit', pattern: 'exit-*' },
  { name: `shard-${index}`, id: 'endpoint-redis', url, channel: 'exit', sharded: true },
])
const app = Fastify()
await app.register(araldo, {
  // What is for the server that is gone waits so long.
  global: { 'shutdown-timeout': '3s' },
  plugins: { 'araldo.endpoints.endpoint': [...declared, { name: 'in', id: 'endpoint-app' }] },
  routes: { in: names, ...Object.fromEntries(names.map((name, index) => [name, [`shard-${index}`]])) },
})
await app.ready()
const states = names.map((name) => app.araldo.endpoints.get(name)?.state)
process.stdout.write(`${states.join(' ')}\n`)
await once(process.stdin, 'data')
process.stdin.destroy()
// The last messages are still on their way into the socket when the end begins.
for (let number = 0; number < 100; number++) void app.araldo.publish('in', number).catch(() => {})
const began = performance.now()
await app.close()
process.stdout.write(`closed after ${Math.round(performance.now() - began)} ms\n`)
