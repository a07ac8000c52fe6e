/** Floor 6. `araldo`: a Fastify server with nothing on it but the relay, from the first log line to the exit code. */
import { closeSync, openSync } from 'node:fs'
import closeWithGrace from 'close-with-grace'
import Fastify, { LogController, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { type Config, ConfigError, formatDiagnostic, loadConfig } from '../config.ts'
import { reasonOf } from '../errors.ts'
import araldo, { createRegistries } from '../plugin.ts'
import { loggerLevel } from '../types.ts'

/** Milliseconds that plugins and hooks may take at the least, whatever the shutdown timeout is. */
const MIN_PLUGIN_TIMEOUT = 10_000

/**
 * What the processor or a debugger raises is no wish to end in order: a handler in JavaScript would return to the very
 * instruction that failed, and do so for ever.
 */
const FATAL_SIGNALS = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGUSR2'] as const

/**
 * Runs until a signal comes. On SIGINT, SIGTERM or SIGQUIT the relay ends in order within `global.shutdown-timeout` and
 * the process exits with 0; a second signal ends it at once, with 1. On SIGHUP it reads its config again; where that
 * says that its terminal is gone, it ends.
 *
 * @param path of the config.
 * @throws where it cannot start: the error's message is one line for people.
 */
export async function run(path: string): Promise<void> {
  const config = await loadConfig(path, createRegistries())
  const { serverHost: host, serverPort: port, shutdownTimeout } = config.global
  const fastify = Fastify({
    logger: await loggerOptions(config),
    logController: new LogController({ disableRequestLogging: true }),
    // Browsers open connections ahead of need; one without a request would hold the end of the server back.
    forceCloseConnections: true,
    // While it closes, /health/ready says so itself.
    return503OnClosing: false,
    pluginTimeout: Math.max(MIN_PLUGIN_TIMEOUT, shutdownTimeout),
  })
  const grace = closeWithGrace(
    { delay: shutdownTimeout, logger: fastify.log, skip: [...FATAL_SIGNALS, 'SIGHUP'] },
    async ({ signal, err }) => {
      if (err !== undefined) fastify.log.fatal({ err }, 'ending: something was left unhandled')
      else fastify.log.info({ signal }, 'ending')
      await fastify.close()
    },
  )
  const reload = reloader(fastify)
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY
  const onHangUp = (): void => {
    if (hasTerminal && !hasControllingTerminal()) grace.close()
    else void reload()
  }
  process.on('SIGHUP', onHangUp)
  try {
    await fastify.register(araldo, { config })
    await fastify.listen({ host, port, listenTextResolver: (address) => `listening at ${address}` })
  } catch (error) {
    // What it would do when the process has nothing left to do is to exit with 0.
    grace.uninstall()
    process.off('SIGHUP', onHangUp)
    await fastify.close()
    throw new Error(startError(error, config), { cause: error })
  }
  announce(fastify)
}

/** Reads the config again. What comes while it does makes it do so once more. Never rejects. */
function reloader(fastify: FastifyInstance): () => Promise<void> {
  let isRunning = false
  let isAskedAgain = false
  return async () => {
    isAskedAgain = true
    if (isRunning) return
    isRunning = true
    while (isAskedAgain) {
      isAskedAgain = false
      try {
        if (fastify.hasDecorator('araldo')) await fastify.araldo.reload()
        else fastify.log.warn('not reloaded: the relay has not started yet')
      } catch (error) {
        const problems =
          error instanceof ConfigError ? error.diagnostics.map((each) => formatDiagnostic(each)) : [reasonOf(error)]
        fastify.log.error({ problems }, 'not reloaded: the config that held before still does')
      }
    }
    isRunning = false
  }
}

/** A terminal that is closed says so by the same signal. */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

/** Lines for people on a terminal, JSON lines elsewhere. */
async function loggerOptions({ global: { logLevel = 'info' } }: Config): Promise<FastifyServerOptions['logger']> {
  const level = loggerLevel(logLevel)
  // Node's own stream, whose errors cli.ts hears: a full disk under the log must not keep the relay from ending.
  if (!process.stdout.isTTY) return { level, stream: process.stdout }
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({
    destination: process.stdout,
    ignore: 'pid,hostname,module',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    sync: true,
  })
  return { level, stream }
}

function announce({ araldo: relay, log }: FastifyInstance): void {
  for (const { name, type, state, reason } of relay.endpoints.values())
    log.debug({ name, type, state, reason }, 'endpoint')
  for (const { source, lanes } of relay.routes) {
    log.info({ source, targets: lanes.map((lane) => lane.target) }, 'route')
  }
}

/** What kept the server from starting, in one line that says what to do. */
function startError(error: unknown, { global: { serverHost, serverPort } }: Config): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  const address = `${serverHost}:${serverPort}`
  switch (code) {
    case 'EADDRINUSE':
      return `cannot listen on ${address}: the port is taken; end what uses it, or set global.server-port`
    case 'EACCES':
      return `cannot listen on ${address}: no permission; set global.server-port to 1024 or above, or grant the right`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `cannot listen on ${address}: this machine has no such address; set global.server-host`
    default:
      return reasonOf(error)
  }
}
