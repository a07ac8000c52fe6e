import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import prometheus, { type OpenMetricsContentType } from 'prom-client'
import { builtinEndpoints } from '../../lib/endpoints/index.ts'
import araldo from '../../lib/plugin.ts'
import { connect } from '../support/client.ts'
import type { TestEndpoint } from '../support/core.ts'
import { EVERY_ENDPOINT } from '../support/every-type.ts'
import { type MetricFamily, parseMetrics, valueOf } from '../support/metrics.ts'
import { configOf, relayServer, testType } from '../support/relay.ts'

const APP = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-app' } }, { in: ['out'] })

async function scrape(server: FastifyInstance, url = '/metrics'): Promise<Map<string, MetricFamily>> {
  const response = await server.inject(url)
  assert.equal(response.statusCode, 200)
  return parseMetrics(response.body)
}

describe('metrics', () => {
  test('are Prometheus text, not to be cached, and show the process', async (t) => {
    const server = await relayServer(t, { config: APP })
    const response = await server.inject('/metrics')
    assert.equal(response.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(response.headers['cache-control'], 'no-store')
    const families = parseMetrics(response.body)
    assert.ok(valueOf(families, 'process_resident_memory_bytes')! > 0)
    assert.ok(families.has('nodejs_eventloop_lag_seconds'))
    const head = await server.inject({ method: 'HEAD', url: '/metrics' })
    assert.deepEqual([head.statusCode, head.body], [200, ''])
  })

  test('hold the ledger of every lane, which adds up', async (t) => {
    const { type, made } = testType({ confirm: true })
    const config = configOf(
      {
        in: { id: 'endpoint-app' },
        yes: { id: 'endpoint-test' },
        no: { id: 'endpoint-test' },
        late: { id: 'endpoint-test' },
      },
      {
        in: [
          { to: 'yes', when: 'body.n > 1.0' },
          { to: 'no', retry: { attempts: 1 } },
          { to: 'late', optional: true },
        ],
      },
    )
    const server = await relayServer(t, { config, types: [type] })
    await server.ready()
    const endpoint = (name: string): TestEndpoint => made.get(name) as TestEndpoint
    endpoint('yes').onSend = (_message, settle) => settle?.(null)
    endpoint('no').onSend = () => {
      throw new Error('refused')
    }
    let release = (): void => {}
    endpoint('late').onSend = (_message, settle) => {
      release = () => settle?.(null)
    }
    await assert.rejects(server.araldo.publish('in', { n: 1 }))
    await assert.rejects(server.araldo.publish('in', { n: 2 }))

    const families = await scrape(server)
    const ledger = (target: string): Record<string, number | undefined> => {
      const labels = { source: 'in', target }
      const of = (name: string, more = {}): number | undefined =>
        valueOf(families, `araldo_lane_${name}`, { ...labels, ...more })
      return {
        received: of('messages_received_total'),
        delivered: of('messages_delivered_total'),
        filtered: of('messages_filtered_total'),
        failed: of('messages_dropped_total', { reason: 'failed' }),
        down: of('messages_dropped_total', { reason: 'down' }),
        deadLettered: of('messages_dead_lettered_total'),
        waiting: of('messages_waiting'),
        bytes: of('delivered_bytes_total'),
      }
    }
    const none = { delivered: 0, filtered: 0, failed: 0, down: 0, deadLettered: 0, waiting: 0, bytes: 0 }
    assert.deepEqual(ledger('yes'), { ...none, received: 2, delivered: 1, filtered: 1, bytes: ledger('yes').bytes })
    assert.deepEqual(ledger('no'), { ...none, received: 2, failed: 2 })
    assert.deepEqual(ledger('late'), { ...none, received: 2, waiting: 2 })
    endpoint('late').onSend = (_message, settle) => settle?.(null)
    release()
  })

  test('show the states of the endpoints, one at a time, and their reconnects', async (t) => {
    const { type, made } = testType()
    const config = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    const server = await relayServer(t, { config, types: [type] })
    await server.ready()
    const out = made.get('out')!
    const labels = { endpoint: 'out', type: 'endpoint-test' }
    let families = await scrape(server)
    const states = (): (string | undefined)[] =>
      families
        .get('araldo_endpoint_state')!
        .samples.filter((sample) => sample.labels.endpoint === 'out' && sample.value === 1)
        .map((sample) => sample.labels.state)
    assert.deepEqual(states(), ['up'])
    assert.equal(valueOf(families, 'araldo_endpoint_reconnects_total', labels), 0)

    out.break()
    families = await scrape(server)
    assert.deepEqual(states(), ['down'])
    assert.equal(valueOf(families, 'araldo_endpoint_failures_total', labels), 1)
    await out.whenUp(5_000)
    families = await scrape(server)
    assert.deepEqual(states(), ['up'])
    assert.equal(valueOf(families, 'araldo_endpoint_reconnects_total', labels), 1)
  })

  test('take in whatever figures an endpoint type has, and no harm from them', async (t) => {
    const { type, made } = testType()
    const config = configOf({ in: { id: 'endpoint-app' }, out: { id: 'endpoint-test' } }, { in: ['out'] })
    const server = await relayServer(t, { config, types: [type] })
    const out = made.get('out')!
    let gauges: Record<string, number> | undefined = {
      bytesInHTTPBuffers: 5,
      state: 9,
      'bad-key': 1,
      Über: 1,
      NaNs: 1,
      odd: NaN,
    }
    Object.defineProperty(out, 'gauges', {
      get: () => {
        if (gauges === undefined) throw new Error('not now')
        return gauges
      },
    })
    Object.assign(out.counters, { slowClosed: 3, shrinking: -1, 'x} 1\nfake': 1 })
    await scrape(server)
    let families = await scrape(server)
    const of = (name: string): number | undefined => valueOf(families, `araldo_endpoint_${name}`, { endpoint: 'out' })
    assert.equal(of('slow_closed_total'), 3)
    assert.equal(of('bytes_in_http_buffers'), 5)
    assert.equal(of('odd'), undefined)
    assert.equal(of('shrinking_total'), undefined)
    assert.ok(families.get('araldo_endpoint_state')!.samples.every(({ value }) => value <= 1))

    gauges = undefined
    families = await scrape(server)
    assert.equal(of('bytes_in_http_buffers'), undefined)
    assert.equal(of('slow_closed_total'), 3)
  })

  test('count the requests of the whole server by route, never by path', async (t) => {
    const server = await relayServer(t, { config: APP })
    server.get('/orders/:id', async (request, reply) => {
      const { id } = request.params as { id: string }
      if (id === 'none') reply.code(404)
      return {}
    })
    await server.register(async (scope) => {
      scope.post('/deep', async () => ({}))
    })
    for (const url of ['/orders/1', '/orders/2', '/orders/none', '/nowhere/1', '/nowhere/2']) await server.inject(url)
    await server.inject({ method: 'POST', url: '/deep' })
    const families = await scrape(server)
    const count = (method: string, route: string, status: string): number | undefined =>
      valueOf(families, 'araldo_http_requests_total', { method, route, status })
    assert.equal(count('GET', '/orders/:id', '2xx'), 2)
    assert.equal(count('GET', '/orders/:id', '4xx'), 1)
    assert.equal(count('POST', '/deep', '2xx'), 1)
    assert.equal(count('GET', 'unmatched', '4xx'), 2)
    const durations = families.get('araldo_http_request_duration_seconds')!
    const labels = { method: 'GET', route: '/orders/:id' }
    assert.equal(valueOf(families, 'araldo_http_request_duration_seconds_count', labels), 3)
    assert.equal(valueOf(families, 'araldo_http_request_duration_seconds_bucket', { ...labels, le: '+Inf' }), 3)
    assert.ok(durations.samples.every(({ value }) => value < 10))
  })

  test('have no more methods than HTTP’s usual ones', async (t) => {
    const server = await relayServer(t, { config: APP })
    const base = await server.listen({ port: 0 })
    for (const method of ['PROPFIND', 'PURGE', 'DELETE']) await fetch(`${base}/x`, { method })
    const families = await scrape(server)
    const methods = families.get('araldo_http_requests_total')!.samples.map(({ labels }) => labels.method)
    assert.deepEqual(new Set(methods), new Set(['OTHER', 'DELETE']))
  })

  test('count a WebSocket handshake that is refused, and no connection', async (t) => {
    const config = configOf({ browsers: { id: 'endpoint-websocket', path: '/ws' } }, { browsers: ['browsers'] })
    const server = await relayServer(t, { config })
    const base = (await server.listen({ port: 0 })).replace('http', 'ws')
    const client = await connect(`${base}/ws`, { t })
    await assert.rejects(connect(`${base}/ws`, { t, origin: 'https://evil.example' }), { statusCode: 403 })
    await client.close()
    const { samples } = (await scrape(server)).get('araldo_http_requests_total')!
    assert.deepEqual(
      samples.map(({ labels, value }) => [labels.route, labels.status, value]),
      [['/ws', '4xx', 1]],
    )
  })

  test('tell how late the event loop was', async (t) => {
    const server = await relayServer(t, { config: APP })
    await scrape(server)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const end = performance.now() + 150
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 50))
    const families = await scrape(server)
    const delay = (quantile: string): number => valueOf(families, 'araldo_event_loop_delay_seconds', { quantile })!
    assert.ok(delay('1') > 0.1 && delay('1') < 5, `${delay('1')}`)
    assert.ok(delay('0.5') <= delay('1'))
  })

  test('bear another prefix, at another path', async (t) => {
    const server = await relayServer(t, { config: APP, metrics: { prefix: 'shop_', path: '/internal/metrics' } })
    const families = await scrape(server, '/internal/metrics')
    assert.ok(families.has('shop_lane_messages_received_total'))
    assert.ok(![...families.keys()].some((name) => name.startsWith('araldo_')))
    assert.equal((await server.inject('/metrics')).statusCode, 404)
  })

  test('a prefix that no metric can have is refused', async (t) => {
    await assert.rejects(relayServer(t, { config: APP, metrics: { prefix: 'my-shop_' } }), {
      code: 'ARALDO_ERR_CONFIG',
      message: /^metrics\.prefix: 'my-shop_'/,
    })
  })
})

describe("metrics in the host's registry", () => {
  test('stand beside its own, and where it serves them', async (t) => {
    const registry = new prometheus.Registry()
    new prometheus.Counter({ name: 'shop_orders_total', help: 'Orders.', registers: [registry] }).inc(3)
    const server = await relayServer(t, { config: APP, metrics: { registry, path: false } })
    server.get('/metrics', async (_request, reply) => {
      reply.type(registry.contentType)
      return registry.metrics()
    })
    const families = await scrape(server)
    assert.equal(valueOf(families, 'shop_orders_total'), 3)
    assert.equal(valueOf(families, 'araldo_lane_messages_received_total', { source: 'in' }), 0)
    assert.ok(!families.has('process_resident_memory_bytes'))
  })

  test('keep to its format', async (t) => {
    const registry = new prometheus.Registry<OpenMetricsContentType>()
    registry.setContentType(prometheus.Registry.OPENMETRICS_CONTENT_TYPE)
    const server = await relayServer(t, { config: APP, metrics: { registry } })
    const response = await server.inject('/metrics')
    assert.match(String(response.headers['content-type']), /^application\/openmetrics-text/)
    assert.match(response.body, /^araldo_lane_messages_received_total\{source="in",target="out"\} 0$/m)
    assert.ok(response.body.endsWith('# EOF\n'))
  })

  test('of two relays are told apart, and go when their relay does', async (t) => {
    const registry = new prometheus.Registry()
    const one = await relayServer(t, { config: APP, prefix: '/one', metrics: { registry } })
    const two = await relayServer(t, { config: APP, prefix: '/two', metrics: { registry } })
    await one.ready()
    await two.ready()
    await one.araldo.publish('in', 1)
    await one.inject('/one/health/live')
    await two.inject('/two/health/live')
    const received = (families: Map<string, MetricFamily>, relay: string): number | undefined =>
      valueOf(families, 'araldo_lane_messages_received_total', { relay })
    let families = await scrape(two, '/two/metrics')
    assert.equal(received(families, '/one'), 1)
    assert.equal(received(families, '/two'), 0)

    await one.close()
    families = await scrape(two, '/two/metrics')
    assert.equal(received(families, '/one'), undefined)
    assert.equal(received(families, '/two'), 0)
    assert.ok(!(await registry.metrics()).includes('/one'))
    await two.close()
    assert.deepEqual(registry.getMetricsAsArray(), [])
  })

  test('of two relays in sibling scopes of one server count the requests of their own scope', async (t) => {
    const registry = new prometheus.Registry()
    const server = Fastify()
    t.after(() => server.close())
    for (const prefix of ['/a', '/b']) {
      await server.register(async (scope) => {
        await scope.register(araldo, { config: APP, prefix, metrics: { registry } })
      })
    }
    await server.inject('/a/health/live')
    const families = await scrape(server, '/b/metrics')
    const requests = families.get('araldo_http_requests_total')!.samples
    assert.deepEqual(
      requests.map(({ labels, value }) => [labels.relay, labels.route, value]),
      [['/a', '/a/health/live', 1]],
    )
  })

  test('of two relays with one name are refused while both live', async (t) => {
    const registry = new prometheus.Registry()
    const one = await relayServer(t, { config: APP, metrics: { registry } })
    await one.ready()
    await assert.rejects(relayServer(t, { config: APP, metrics: { registry } }), {
      code: 'ARALDO_ERR_METRICS_CONFLICT',
      message: /relay="".*metrics\.relay/,
    })
    const named = await relayServer(t, { config: APP, metrics: { registry, relay: 'second' } })
    assert.equal(valueOf(await scrape(named), 'araldo_lane_messages_received_total', { relay: 'second' }), 0)
    await named.close()
    await one.close()
    const again = await relayServer(t, { config: APP, metrics: { registry } })
    assert.ok((await scrape(again)).has('araldo_lane_messages_received_total'))
  })

  test('a name that the host has taken is an error, and leaves nothing behind', async (t) => {
    const registry = new prometheus.Registry()
    const options = { name: 'araldo_endpoint_state', help: 'Mine.', registers: [registry] }
    const mine = new prometheus.Gauge(options)
    await assert.rejects(relayServer(t, { config: APP, metrics: { registry } }), {
      code: 'ARALDO_ERR_METRICS_CONFLICT',
      message: /araldo_endpoint_state.*metrics\.prefix/,
    })
    assert.deepEqual(registry.getMetricsAsArray(), [mine])
  })
})

describe('docs/metrics.md', () => {
  test('lists every metric of a relay that has every built-in endpoint type, and no other', async (t) => {
    assert.deepEqual(new Set(Object.keys(EVERY_ENDPOINT)), new Set(builtinEndpoints.map(({ id }) => id)))
    const endpoints = Object.fromEntries(
      Object.entries(EVERY_ENDPOINT).map(([id, options]) => [id, { id, ...options }]),
    )
    const server = await relayServer(t, { config: configOf(endpoints, { 'endpoint-app': ['endpoint-mock'] }) })
    await server.inject('/health/live')
    const families = [...(await scrape(server)).values()].filter(({ name }) => name.startsWith('araldo_'))
    const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
    const listed = metricsIn(page)
    // Several types may have one metric, each with a row of its own.
    const shown = families.map(({ name, type }) => `${name} ${type}`)
    assert.deepEqual([...new Set(listed)].toSorted(), shown.toSorted())

    for (const id of Object.keys(EVERY_ENDPOINT)) {
      const common = new Set(metricsIn(page.split('Each type brings its own')[0] ?? ''))
      const own = families
        .filter(({ samples }) => samples.some(({ labels }) => labels['type'] === id))
        .map(({ name, type }) => `${name} ${type}`)
        .filter((metric) => !common.has(metric))
      const [, section = ''] = new RegExp(`^\`${id}\`:\n\n((?:\\|.*\n)+)`, 'm').exec(page) ?? []
      assert.deepEqual(metricsIn(section).toSorted(), own.toSorted(), id)
    }
  })
})

/** `araldo_lane_waiting_bytes gauge` for each row of a table of metrics. */
function metricsIn(text: string): string[] {
  return Array.from(text.matchAll(/^\| `(araldo_\w+)` \| (\w+) \|/gm), ([, name, type]) => `${name} ${type}`)
}
