/**
 * A page where browser windows chat through a route, and a REST call that pushes to all of them.
 *
 *     npm start
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyInstance } from 'fastify'
import araldo from 'araldo'

const page = new URL('./page.html', import.meta.url)

/** The server, ready to listen. `config`: a file that declares `browsers` at /ws and `announcements`. */
export async function build(config: URL): Promise<FastifyInstance> {
  const fastify = Fastify({ logger: { level: 'warn' }, forceCloseConnections: true })
  await fastify.register(araldo, { config: fileURLToPath(config) })

  // `curl -d` says that it sends a form, whatever it sends.
  fastify.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    fastify.getDefaultJsonParser('error', 'error'),
  )

  fastify.get('/', async (_request, reply) => {
    reply.type('text/html; charset=utf-8')
    return readFile(page, 'utf8')
  })

  fastify.post('/notify', { schema: { body: notification } }, async (request, reply) => {
    const { text } = request.body as { text: string }
    const id = await fastify.araldo.publish('announcements', { from: 'announcement', text })
    reply.code(202)
    return { id }
  })
  return fastify
}

const notification = {
  type: 'object',
  required: ['text'],
  properties: { text: { type: 'string', minLength: 1, maxLength: 2_000 } },
}

/** Listens on this machine alone and prints what to open. */
export async function start(config: URL): Promise<void> {
  const fastify = await build(config)
  const port = Number(process.env.PORT ?? 54321)
  try {
    await fastify.listen({ host: 'localhost', port })
  } catch (error) {
    console.error(`cannot listen on port ${port} (${(error as Error).message}); another one: PORT=8080 npm start`)
    process.exitCode = 1
    return fastify.close()
  }
  const base = `http://localhost:${port}`
  console.log(`
  chat        ${base}/            open it in two windows
  live view   ${base}/console     what goes where
  metrics     ${base}/metrics     health: ${base}/health/ready

  push to every window:
    curl -X POST ${base}/notify -d '{"text":"hi"}'

  Ctrl-C ends it.
`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void fastify.close())
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await start(new URL('./araldo.yaml', import.meta.url))
}
