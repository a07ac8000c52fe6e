import assert from 'node:assert/strict'
import { dirname, relative } from 'node:path'
import { before, describe, test } from 'node:test'
import { recordingLog } from '../../../support/core.ts'
import { type RedisServer, startRedis } from '../../../support/redis.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { connectClient, startRelay } from '../relay.ts'

const SECRET = 'p@ss/w:rd%?#'

describe('endpoint-redis, TLS', { skip: need('redis-server', 'redis-cli', 'openssl'), concurrency: 4 }, () => {
  let redis: RedisServer
  let directory: string
  const file = (path: string): string => relative(directory, path)
  before(async () => {
    redis = await startRedis({ tls: true, args: ['--tls-auth-clients', 'optional'] })
    directory = dirname(redis.certificate?.caFile ?? '')
  })

  test('a server with a certificate of an own authority is spoken to; its file is relative to the config', async (t) => {
    const ca = file(redis.certificate!.caFile)
    const { app, texts } = await startRelay({
      t,
      directory,
      redis: { orders: { url: redis.url, tls: { ca }, channel: 'tls' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 'secret')
    assert.deepEqual(await texts(1), ['"secret"'])
  })

  test('PEM text, a client certificate and another name for the server are taken', async (t) => {
    const { ca, certFile, keyFile } = redis.certificate!
    const tls = { ca, cert: file(certFile), key: file(keyFile), servername: 'localhost' }
    const { app, texts } = await startRelay({
      t,
      directory,
      redis: { orders: { host: redis.host, port: redis.port, tls, channel: 'mutual' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 'both known')
    assert.deepEqual(await texts(1), ['"both known"'])
  })

  test('an unknown authority is refused, unless the config says otherwise', async (t) => {
    const { down, up } = await startRelay({
      t,
      mayBeDown: true,
      redis: {
        careful: { url: redis.url, channel: 'a' },
        careless: { url: redis.url, tls: { 'reject-unauthorized': false }, channel: 'b' },
      },
      routes: { careful: ['out'], careless: ['out'] },
    })
    assert.match(await down('careful'), /certificate/)
    await up('careless')
  })

  test('a certificate that cannot be read keeps the relay from starting', async (t) => {
    const redisOptions = { url: redis.url, tls: { ca: 'nowhere.pem' }, channel: 'a' }
    const starting = startRelay({ t, redis: { orders: redisOptions }, routes: { orders: ['out'] } })
    await assert.rejects(starting, /endpoint 'orders': tls: ca: the file is not there/)
  })
})

describe('endpoint-redis, users and passwords', { skip: need('redis-server', 'redis-cli'), concurrency: 4 }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await startRedis({ password: SECRET })
  })

  test('the password is in the url, or beside it', async (t) => {
    const plain = `redis://${redis.host}:${redis.port}`
    const { app, texts } = await startRelay({
      t,
      redis: {
        there: { url: redis.url, channel: 'password' },
        back: { url: plain, password: SECRET, channel: 'password' },
        third: { url: `redis://default:${encodeURIComponent(SECRET)}@${redis.host}:${redis.port}/3`, channel: 'x' },
      },
      routes: { in: ['there'], back: ['out'], third: ['out'] },
    })
    await app.araldo.publish('in', 'let in')
    assert.deepEqual(await texts(1), ['"let in"'])
  })

  test('a wrong password is a reason, and is in no line of the log', async (t) => {
    const { log, lines } = recordingLog()
    const { down, endpoint } = await startRelay({
      t,
      mayBeDown: true,
      log,
      redis: {
        wrong: { url: `redis://:wrong-secret@${redis.host}:${redis.port}`, channel: 'a' },
        unknown: { host: redis.host, port: redis.port, username: 'nobody', password: 'other-secret', channel: 'a' },
        missing: { host: redis.host, port: redis.port, channel: 'a' },
      },
      routes: { wrong: ['out'], unknown: ['out'], missing: ['out'] },
    })
    assert.match(await down('wrong'), /^WRONGPASS invalid username-password pair/)
    assert.match(await down('unknown'), /^WRONGPASS/)
    assert.match(await down('missing'), /^NOAUTH/)
    await until(() => endpoint('wrong').counters.failures > 2, { message: 'it to try again' })
    assert.doesNotMatch(JSON.stringify(lines), /wrong-secret|other-secret/)
    assert.equal(lines.filter((line) => line['endpoint'] === 'wrong' && line.msg === 'down').length, 1)
  })

  test('a server that only speaks RESP2 is spoken to, and told no secret in an error', async (t) => {
    const old = await startRedis({ t, password: 'old-secret', args: ['--rename-command', 'HELLO', ''] })
    const { log, lines } = recordingLog()
    const { app, texts } = await startRelay({
      t,
      log,
      redis: { orders: { url: old.url, channel: 'old', pattern: 'ol?der', 'ping-interval': '20ms' } },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 1)
    await texts(1)
    await until(async () => /cmdstat_ping:calls=\d{2,}/.test(await old.cli('INFO', 'commandstats')))
    await old.cli('PUBLISH', 'ol-der', '2')
    assert.deepEqual(await texts(2), ['1', '2'])

    const mute = await startRedis({ t, args: ['--rename-command', 'HELLO', '', '--rename-command', 'AUTH', ''] })
    const refused = await startRelay({
      t,
      log,
      mayBeDown: true,
      redis: { orders: { url: `redis://:old-secret@${mute.host}:${mute.port}`, channel: 'old' } },
      routes: { in: ['orders'] },
    })
    assert.match(await refused.down('orders'), /^ERR unknown command/)
    assert.doesNotMatch(JSON.stringify(lines), /old-secret/)
  })

  test('a user of few rights is enough', async (t) => {
    await redis.cli('ACL', 'SETUSER', 'few', 'on', '>few', 'resetchannels', '&few', '+publish', '+subscribe')
    const { app, texts } = await startRelay({
      t,
      redis: {
        orders: { url: `redis://few:few@${redis.host}:${redis.port}`, channel: 'few', 'ping-interval': '20ms' },
      },
      routes: { in: ['orders'], orders: ['out'] },
    })
    await app.araldo.publish('in', 1)
    await texts(1)
    await until(async () => /cmdstat_ping:.*rejected_calls=\d{2,}/.test(await redis.cli('INFO', 'commandstats')))
    await app.araldo.publish('in', 2)
    assert.deepEqual(await texts(2), ['1', '2'])
  })

  test('a channel that the user may not hear is a reason; once it may, it comes in', async (t) => {
    await redis.cli('ACL', 'SETUSER', 'deaf', 'on', '>deaf', 'resetchannels', '&open', '+@all')
    const url = `redis://deaf:deaf@${redis.host}:${redis.port}`
    const { down, up, endpoint, texts } = await startRelay({
      t,
      mayBeDown: true,
      redis: { closed: { url, channels: ['open', 'closed'] }, open: { url, channel: 'open' } },
      routes: { closed: ['out'], open: ['out'] },
    })
    assert.match(await down('closed'), /^NOPERM/)
    await up('open')
    await redis.cli('ACL', 'SETUSER', 'deaf', '&closed')
    await up('closed')
    await redis.cli('PUBLISH', 'closed', '1')
    assert.deepEqual(await texts(1), ['1'])
    assert.equal(endpoint('open').counters['connects'], 1, 'the endpoint beside it noticed nothing')
  })

  test('what the server refuses is counted, and logged once a second', async (t) => {
    await redis.cli('ACL', 'SETUSER', 'mute', 'on', '>mute', 'resetchannels', '&loud', '+@all')
    const { log, lines } = recordingLog()
    const { app, endpoint } = await startRelay({
      t,
      log,
      redis: { orders: { url: `redis://mute:mute@${redis.host}:${redis.port}`, topic: '{topic}' } },
      routes: { in: ['orders'] },
    })
    const client = await connectClient(t, redis, { password: SECRET })
    const heard: string[] = []
    client.on('message', (_channel, text) => heard.push(text))
    await client.subscribe('loud', 'quiet')
    for (let number = 0; number < 100; number++) {
      await app.araldo.publish('in', number, { topic: number % 10 === 0 ? 'loud' : 'quiet' })
    }
    await until(() => heard.length === 10 && endpoint('orders').counters['refused'] === 90)
    const warnings = lines.filter((line) => line.msg === 'Redis refused what was sent')
    assert.equal(warnings.length, 1)
    assert.match(String(warnings[0]?.['reason']), /^NOPERM/)
    assert.equal(endpoint('orders').state, 'up')
    assert.equal(endpoint('orders').gauges['inFlight'], 0)
  })
})
