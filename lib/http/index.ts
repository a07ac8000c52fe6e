/** Floor 3. The routes that show the relay to monitors and people: health, metrics, console. */
import type { FastifyInstance } from 'fastify'
import { errors } from '../errors.ts'
import type { RelayView } from '../view.ts'
import { type ConsoleOptions, registerConsole } from './console/index.ts'
import { type HealthOptions, registerHealth } from './health.ts'
import { type MetricsOptions, registerMetrics } from './metrics.ts'
import { RequestCounts } from './requests.ts'
import { createShow } from './text.ts'

export type { ConsoleOptions } from './console/index.ts'
export type { HealthOptions } from './health.ts'
export type { MetricsOptions, MetricsRegistry } from './metrics.ts'
export { countRequests } from './requests.ts'

export interface MonitoringOptions {
  /** `GET /health/live` and `GET /health/ready`. On by default. */
  readonly health?: boolean | HealthOptions
  /** `GET /metrics`, for Prometheus. On by default. */
  readonly metrics?: boolean | MetricsOptions
  /** `GET /console`, a live view of what goes where. Off by default; overrides the config's `global.console`. */
  readonly console?: boolean | ConsoleOptions
}

/** What monitoring needs to know beside its options. */
export interface MonitoringContext {
  /** From `countRequests`; nothing is counted without. */
  readonly requests?: RequestCounts | undefined
  /** The config's `global.console`. */
  readonly console?: boolean
  /** Values of the config that must not be shown. More may come, none may go. */
  readonly secrets?: ReadonlySet<string>
}

/**
 * Adds what the options ask for to `scope`, below its prefix.
 * @throws ARALDO_ERR_CONFIG, ARALDO_ERR_METRICS_CONFLICT
 */
export async function registerMonitoring(
  scope: FastifyInstance,
  relay: RelayView,
  options: MonitoringOptions,
  { requests = new RequestCounts(), secrets = new Set(), ...context }: MonitoringContext = {},
): Promise<void> {
  const { health = true, metrics = true, console = context.console ?? false } = options
  const show = createShow(secrets)
  if (health !== false) {
    const { prefix = '/health' } = health === true ? {} : health
    const path = prefix === '' ? '' : pathOf(prefix, 'health.prefix')
    claim('health.prefix', () => registerHealth(scope, relay, path, show))
  }
  if (metrics !== false) {
    const { path = '/metrics', ...rest } = metrics === true ? {} : metrics
    const place = path === false ? false : pathOf(path, 'metrics.path')
    claim('metrics.path', () => registerMetrics(scope, relay, requests, { ...rest, path: place }))
  }
  if (console !== false) {
    const settings = console === true ? {} : console
    const path = pathOf(settings.path ?? '/console', 'console.path')
    claim('console.path', () => registerConsole(scope, relay, settings, path, show))
  }
}

/** Adds routes; where the host, or an endpoint, has one of them already, says which option moves them. */
function claim(option: string, register: () => void): void {
  try {
    register()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'FST_ERR_DUPLICATED_ROUTE')) throw error
    const [what = option] = option.split('.')
    const advice = `move that route, set the option '${option}', or switch this off with '${what}: false'`
    throw new errors.CONFIG(`${what}: ${error.message}: ${advice}`, { cause: error })
  }
}

function pathOf(value: string, option: string): string {
  if (!value.startsWith('/')) throw new errors.CONFIG(`${option}: expected a path that begins with /, got '${value}'`)
  return value === '/' ? value : value.replace(/\/+$/, '')
}
