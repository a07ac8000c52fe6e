/**
 * Two relays, and nginx before them: open the page in two windows, and the one hears the other, whichever relay each
 * has come to.
 *
 *     npx tsx example/two-relays/server.ts                      # wants Redis, NATS, and nginx installed
 *     nats pub news.today '{"from":"news","text":"hello"}'      # every window
 *     nats pub orders.7 '{"total":120}'                         # one of the relays, and
 *     redis-cli XRANGE ledger - +                               # one entry
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import araldo from 'araldo'

const port = Number(process.env.PORT ?? 54320)
const ports = [port + 1, port + 2] as const
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** One relay: what would run on a machine of its own. */
async function startRelay(relayPort: number): Promise<FastifyInstance> {
  const fastify = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
  await fastify.register(araldo, { config: file('./araldo.yaml') })
  fastify.get('/', async (_request, reply) => {
    reply.type('text/html; charset=utf-8')
    return readFileSync(file('../chat/page.html'), 'utf8')
  })
  await fastify.listen({ host: '127.0.0.1', port: relayPort })
  return fastify
}

const folder = mkdtempSync(join(tmpdir(), 'araldo-nginx-'))

function startNginx(): ChildProcess {
  const values: Record<string, string> = {
    FOLDER: folder,
    PORT: String(port),
    PORT_A: String(ports[0]),
    PORT_B: String(ports[1]),
  }
  const template = readFileSync(file('./nginx.conf'), 'utf8')
  const config = template.replaceAll(/\$\{(\w+)\}/g, (text, name: string) => values[name] ?? text)
  writeFileSync(join(folder, 'nginx.conf'), config)
  return spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: ['ignore', 'inherit', 'inherit'] })
}

const relays = await Promise.all(ports.map(startRelay))
const nginx = startNginx()
nginx.once('error', (error) => {
  console.error(
    `nginx does not start (${error.message}): install it (apt-get install nginx), or open the relays themselves`,
  )
})

console.log(`
  chat        http://localhost:${port}/      open it in two windows: nginx sends them to both relays in turn
  relays      http://localhost:${ports[0]}/console
              http://localhost:${ports[1]}/console

  Ctrl-C ends it.
`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    nginx.kill()
    void Promise.all(relays.map(async (relay) => relay.close())).finally(() => rmSync(folder, { recursive: true }))
  })
}
