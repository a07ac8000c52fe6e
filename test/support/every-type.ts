/** Each built-in endpoint type, with the fewest options that make it a source and a target, at brokers that are not there. */

/** By the type's id. */
export const EVERY_ENDPOINT: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'endpoint-amqp': { url: 'amqp://127.0.0.1:1', queue: 'orders', topic: 'orders' },
  'endpoint-app': {},
  'endpoint-http': { path: '/orders', url: 'http://127.0.0.1:1/', 'allow-private': true },
  'endpoint-jetstream': { url: 'nats://127.0.0.1:1', stream: 'ORDERS', subject: 'orders', topic: 'orders' },
  'endpoint-mock': {},
  'endpoint-mqtt': { url: 'mqtt://127.0.0.1:1', subscribe: 'orders', topic: 'orders', echo: true },
  'endpoint-nats': { url: 'nats://127.0.0.1:1', subject: 'orders', topic: 'orders', echo: true },
  'endpoint-postgres': { url: 'postgres://me@127.0.0.1:1/db', outbox: 'orders', table: 'orders' },
  'endpoint-redis': { url: 'redis://127.0.0.1:1', channel: 'orders' },
  'endpoint-redis-stream': { url: 'redis://127.0.0.1:1', stream: 'orders' },
  'endpoint-websocket': { path: '/ws' },
  'endpoint-websocket-client': { url: 'ws://127.0.0.1:1/' },
}
