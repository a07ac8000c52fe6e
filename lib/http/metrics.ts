/**
 * Floor 3. Metrics for Prometheus. All values are read when somebody asks, from counters that are kept anyway: a
 * message costs nothing here.
 *
 * One registry may be shared by several relays of a process, and with the host's own metrics. Metrics of one name
 * exist once in a registry; each relay that joins adds its values, told apart by the label `relay`.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import prometheus, { type OpenMetricsContentType, type Registry } from 'prom-client'
import { errors } from '../errors.ts'
import type { RelayView } from '../view.ts'
import { DELAY_RESOLUTION, readEventLoopDelay } from './event-loop.ts'
import { type Emit, FAMILIES, type Family, figureFamilies, type Member } from './families.ts'
import type { RequestCounts, RequestLabels } from './requests.ts'

/** A prom-client registry, of either text format. */
export type MetricsRegistry = Registry | Registry<OpenMetricsContentType>

export interface MetricsOptions {
  /** Where they are served: `/metrics` by default; `false` for nowhere, where the host serves its own registry. */
  readonly path?: string | false
  /** Before every metric's name: `araldo_` by default. */
  readonly prefix?: string
  /**
   * The host's registry. Without it the relay has one of its own, which also shows the process (prom-client's default
   * metrics).
   */
  readonly registry?: MetricsRegistry
  /**
   * The value of the label `relay`, which tells apart relays that share a registry. By default what the relay's paths
   * begin with; a relay without that has no such label.
   */
  readonly relay?: string
}

const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const PREFIX = /^([A-Za-z_:][A-Za-z0-9_:]*)?$/

/** The metrics of one prefix in one registry, and the relays that they are about. */
class MetricSet {
  readonly #registry: MetricsRegistry
  readonly #prefix: string
  readonly #members = new Set<Member>()
  readonly #names = new Set<string>()
  readonly #requestLabels = new Map<Member, Map<string, RequestLabels>>()
  readonly #eventLoop: IntervalHistogram = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION })
  #durations: prometheus.Histogram | undefined

  constructor(registry: MetricsRegistry, prefix: string) {
    this.#registry = registry
    this.#prefix = prefix
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  /** @throws ARALDO_ERR_METRICS_CONFLICT */
  join(member: Member): void {
    for (const other of this.#members) {
      if (other.labels.relay !== member.labels.relay) continue
      if (!other.relay.closing) {
        throw new errors.METRICS_CONFLICT(`a relay with relay="${member.labels.relay ?? ''}"`, 'metrics.relay')
      }
      this.leave(other)
    }
    if (this.isEmpty) this.#start()
    this.#members.add(member)
    this.#addFigures()
    const labels = new Map<string, RequestLabels>()
    this.#requestLabels.set(member, labels)
    member.requests.observe = (request, seconds) => {
      const all = { ...request, ...member.labels }
      labels.set(`${request.method} ${request.route}`, all)
      this.#durations?.observe(all, seconds)
    }
  }

  /** Ends what {@link join} began; with the last relay the metrics leave the registry. */
  leave(member: Member): void {
    if (!this.#members.delete(member)) return
    member.requests.observe = undefined
    for (const labels of this.#requestLabels.get(member)?.values() ?? []) this.#durations?.remove({ ...labels })
    this.#requestLabels.delete(member)
    if (this.isEmpty) this.#stop()
  }

  #start(): void {
    try {
      this.#addAll()
    } catch (error) {
      this.#stop()
      throw error
    }
    this.#eventLoop.enable()
  }

  #stop(): void {
    this.#eventLoop.disable()
    for (const name of this.#names) this.#registry.removeSingleMetric(name)
    this.#names.clear()
    this.#durations = undefined
  }

  #addAll(): void {
    for (const family of FAMILIES) this.#add(family)
    this.#register(
      'event_loop_delay_seconds',
      'How late the event loop was since the metrics were last read, by quantile; 1 is the worst.',
      'gauge',
      ['quantile'],
      (emit) => {
        readEventLoopDelay(this.#eventLoop, emit)
        this.#addFigures()
      },
    )
    this.#durations = new prometheus.Histogram({
      name: this.#claim('http_request_duration_seconds'),
      help: 'Time from an HTTP request to the end of its answer.',
      labelNames: ['method', 'route', 'relay'],
      buckets: REQUEST_BUCKETS,
      registers: [this.#registry],
    })
  }

  #add({ name, help, type, labels, read }: Family): void {
    this.#register(name, help, type, [...labels, 'relay'], (emit) => {
      for (const member of this.#members) {
        read(member, (values, value) => emit({ ...values, ...member.labels }, value))
      }
    })
  }

  /**
   * Endpoint types choose their figures, and some come later: those show when the metrics are read the next time.
   * One whose name is taken is left out.
   */
  #addFigures(): void {
    for (const { relay } of this.#members) {
      for (const family of figureFamilies(relay.endpoints.values())) {
        if (this.#registry.getSingleMetric(this.#prefix + family.name) === undefined) this.#add(family)
      }
    }
  }

  #register(name: string, help: string, type: Family['type'], labelNames: string[], read: (emit: Emit) => void): void {
    const options = { name: this.#claim(name), help, labelNames, registers: [this.#registry] }
    const Metric = type === 'counter' ? prometheus.Counter : prometheus.Gauge
    const metric = new Metric({
      ...options,
      collect: () => {
        metric.reset()
        read((labels, value) => {
          if (Number.isFinite(value) && (type === 'gauge' || value >= 0)) metric.inc(labels, value)
        })
      },
    })
  }

  /** @returns the whole name, which nothing else in the registry has. */
  #claim(name: string): string {
    const whole = this.#prefix + name
    if (this.#registry.getSingleMetric(whole) !== undefined) {
      throw new errors.METRICS_CONFLICT(`a metric named ${whole}`, 'metrics.prefix')
    }
    this.#names.add(whole)
    return whole
  }
}

/** The sets of each registry, by prefix. Weak: they live as long as the registry does. */
const sets = new WeakMap<MetricsRegistry, Map<string, MetricSet>>()

function setOf(registry: MetricsRegistry, prefix: string): MetricSet {
  let ofRegistry = sets.get(registry)
  if (ofRegistry === undefined) sets.set(registry, (ofRegistry = new Map<string, MetricSet>()))
  let set = ofRegistry.get(prefix)
  if (set === undefined) ofRegistry.set(prefix, (set = new MetricSet(registry, prefix)))
  return set
}

let processRegistry: Registry | undefined

/**
 * The metrics of the process: once per process however many relays it has, because prom-client's observers of the
 * event loop and the garbage collector are never ended.
 */
function processMetrics(): Registry {
  if (processRegistry === undefined) {
    processRegistry = new prometheus.Registry()
    prometheus.collectDefaultMetrics({ register: processRegistry })
  }
  return processRegistry
}

/**
 * Shows the relay in a registry, and serves that at `options.path`.
 * @throws ARALDO_ERR_METRICS_CONFLICT, ARALDO_ERR_CONFIG
 */
export function registerMetrics(
  scope: FastifyInstance,
  relay: RelayView,
  requests: RequestCounts,
  options: MetricsOptions,
): void {
  const {
    path = '/metrics',
    prefix = 'araldo_',
    registry = new prometheus.Registry(),
    relay: name = scope.prefix,
  } = options
  if (!PREFIX.test(prefix)) {
    throw new errors.CONFIG(`metrics.prefix: '${prefix}' cannot begin a metric's name: use letters, digits and _`)
  }
  const set = setOf(registry, prefix)
  const member: Member = { relay, requests, labels: name === '' ? {} : { relay: name } }
  set.join(member)
  scope.addHook('onClose', async () => set.leave(member))

  if (path === false) return
  scope.get(path, { logLevel: 'warn', exposeHeadRoute: true }, async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('content-type', registry.contentType)
    if (options.registry !== undefined) return options.registry.metrics()
    return prometheus.Registry.merge([registry as Registry, processMetrics()]).metrics()
  })
}
