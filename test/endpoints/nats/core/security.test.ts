/** Who is let in, and what may be done: certificates, logins, permissions. No secret in a reason or in the log. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { createUser } from '@nats-io/nkeys'
import { recordingLog } from '../../../support/core.ts'
import { type Certificate, makeCertificate } from '../../../support/certificate.ts'
import { type NatsServer, startNats } from '../../../support/nats.ts'
import { temporaryFolder } from '../../../support/process.ts'
import { need } from '../../../support/require.ts'
import { until } from '../../../support/wait.ts'
import { startJetStream } from '../jetstream/support.ts'
import { startNatsEndpoint } from '../support.ts'

const SECRET = 'p@ss/w:rd%?#'

describe('endpoint-nats, TLS', { skip: need('nats-server', 'openssl'), concurrency: 4 }, () => {
  let certificate: Certificate
  let nats: NatsServer
  let mutual: NatsServer
  before(async () => {
    certificate = await makeCertificate()
    const files = `cert_file: "${certificate.certFile}", key_file: "${certificate.keyFile}"`
    nats = await startNats({ config: `tls { ${files} }` })
    mutual = await startNats({ config: `tls { ${files}, ca_file: "${certificate.caFile}", verify: true }` })
  })

  test('a server with a certificate of an own authority is spoken to', async (t) => {
    const options = { servers: [`tls://127.0.0.1:${nats.port}`], tls: { ca: certificate.caFile } }
    const { texts } = await startNatsEndpoint(t, { ...options, subject: 'a' })
    const { send } = await startNatsEndpoint(t, { ...options, topic: 'a', confirm: 'flush' })
    assert.equal(await send('by TLS'), null)
    assert.deepEqual(await texts(1), ['by TLS'])
  })

  test('a client certificate is shown, from PEM text and from files', async (t) => {
    const { ca, certFile, keyFile } = certificate
    const tls = { ca, cert: certFile, key: keyFile, servername: 'localhost' }
    const { endpoint } = await startNatsEndpoint(t, { url: mutual.url, tls, subject: 'a' })
    assert.equal(endpoint.state, 'up')
  })

  test('JetStream is spoken to by the same', async (t) => {
    const { ca, caFile, certFile, keyFile } = certificate
    const files = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${caFile}"`
    const server = await startNats({ t, jetStream: true, config: `tls { ${files}, verify: true }` })
    const place = { url: server.url, stream: 'S', subject: 'a', topic: 'a', create: true }
    const tls = { ca, cert: certFile, key: keyFile }
    const { send, texts } = await startJetStream(t, { ...place, tls })
    assert.equal(await send('by TLS'), null)
    assert.deepEqual(await texts(1), ['by TLS'])
    const { down } = await startJetStream(t, { ...place, tls: { ca } }, { mayBeDown: true })
    await down(/certificate|closed the connection/)
  })

  test('a server that wants a client certificate refuses one that has none', async (t) => {
    const options = { url: mutual.url, tls: { ca: certificate.ca }, subject: 'a' }
    const { down } = await startNatsEndpoint(t, options, { mayBeDown: true })
    await down(/certificate|closed the connection/)
  })

  test('an unknown authority is refused, unless the config says otherwise', async (t) => {
    const careful = await startNatsEndpoint(t, { url: nats.url, tls: true, subject: 'a' }, { mayBeDown: true })
    await careful.down(/certificate/)
    const careless = await startNatsEndpoint(t, { url: nats.url, tls: { 'reject-unauthorized': false }, subject: 'a' })
    assert.equal(careless.endpoint.state, 'up')
  })

  test('a certificate for another name is refused', async (t) => {
    const tls = { ca: certificate.ca, servername: 'elsewhere.example' }
    const { down } = await startNatsEndpoint(t, { url: nats.url, tls, subject: 'a' }, { mayBeDown: true })
    await down(/elsewhere\.example/)
  })

  test('a server without TLS is not spoken to where TLS is wanted', async (t) => {
    const plain = await startNats({ t })
    const options = { servers: [`tls://127.0.0.1:${plain.port}`], subject: 'a' }
    const { down } = await startNatsEndpoint(t, options, { mayBeDown: true })
    await down(/does not support 'tls'/)
  })

  test('a certificate that cannot be read is an error at start', async (t) => {
    const starting = startNatsEndpoint(t, { url: nats.url, tls: { ca: 'nowhere.pem' }, subject: 'a' })
    await assert.rejects(starting, /endpoint 'orders': tls: ca: the file is not there/)
  })
})

describe('endpoint-nats, logins', { skip: need('nats-server') }, () => {
  test('user and password are in the url, or beside it', async (t) => {
    const nats = await startNats({ t, config: `authorization { user: "relay", password: ${JSON.stringify(SECRET)} }` })
    const inUrl = `nats://relay:${encodeURIComponent(SECRET)}@${nats.host}:${nats.port}`
    for (const options of [{ url: inUrl }, { url: nats.url, username: 'relay', password: SECRET }]) {
      const { endpoint } = await startNatsEndpoint(t, { ...options, subject: 'a' })
      assert.equal(endpoint.state, 'up')
    }
  })

  test('a wrong password is a clear reason, and is nowhere to be read', async (t) => {
    const nats = await startNats({ t, config: `authorization { user: "relay", password: "another" }` })
    const { log, lines } = recordingLog()
    const options = { url: nats.url, username: 'relay', password: SECRET, subject: 'a' }
    const { down } = await startNatsEndpoint(t, options, { mayBeDown: true, log })
    const reason = await down(/does not let user 'relay' in \(.*Authorization Violation.*\): check username, password/)
    await until(() => lines.length > 0)
    assert.ok(!`${reason}${JSON.stringify(lines)}`.includes(SECRET))
  })

  test('a token is in the url, or beside it; a wrong one is nowhere to be read', async (t) => {
    const nats = await startNats({ t, config: `authorization { token: ${JSON.stringify(SECRET)} }` })
    const inUrl = `nats://${encodeURIComponent(SECRET)}@${nats.host}:${nats.port}`
    for (const options of [{ url: inUrl }, { url: nats.url, token: SECRET }]) {
      const { endpoint } = await startNatsEndpoint(t, { ...options, subject: 'a' })
      assert.equal(endpoint.state, 'up')
    }
    const wrong = await startNatsEndpoint(t, { url: nats.url, token: 'geheim', subject: 'a' }, { mayBeDown: true })
    assert.ok(!(await wrong.down(/does not let it in/)).includes('geheim'))
  })

  test('an NKey is a seed, or a file that holds one', async (t) => {
    const user = createUser()
    const seed = Buffer.from(user.getSeed()).toString()
    const nats = await startNats({ t, config: `authorization { users: [{ nkey: ${user.getPublicKey()} }] }` })
    const file = join(temporaryFolder('nkey'), 'seed')
    writeFileSync(file, `${seed}\n`)
    for (const nkey of [seed, file]) {
      const { endpoint } = await startNatsEndpoint(t, { url: nats.url, nkey, subject: 'a' })
      assert.equal(endpoint.state, 'up')
    }
    const other = Buffer.from(createUser().getSeed()).toString()
    const wrong = await startNatsEndpoint(t, { url: nats.url, nkey: other, subject: 'a' }, { mayBeDown: true })
    assert.ok(!(await wrong.down(/does not let it in/)).includes(other))
  })

  test('credentials that cannot be read are an error at start', async (t) => {
    for (const option of ['creds', 'nkey'] as const) {
      const starting = startNatsEndpoint(t, { [option]: 'nowhere', subject: 'a' })
      await assert.rejects(starting, new RegExp(`endpoint 'orders': ${option}: the file is not there`))
    }
  })
})

describe('endpoint-nats, permissions', { skip: need('nats-server') }, () => {
  const permissions = { publish: { deny: 'forbidden.>' }, subscribe: { deny: 'secret.>' } }
  const user = { user: 'u', password: 'p', permissions }
  const config = `authorization { users: ${JSON.stringify([user])} }`
  let nats: NatsServer
  before(async () => {
    nats = await startNats({ config })
  })
  const login = (): object => ({ url: nats.url, username: 'u', password: 'p' })

  test('a subscription that is denied keeps it down, with the reason', async (t) => {
    for (const more of [{ subject: 'secret.a' }, { subject: 'secret.a', queue: 'q' }]) {
      const { down } = await startNatsEndpoint(t, { ...login(), ...more }, { mayBeDown: true })
      await down(/does not allow it to subscribe: .*secret\.a/)
    }
  })

  test('what may not be published is counted and logged once a second, and the others live on', async (t) => {
    const { log, lines } = recordingLog()
    const client = await connect({ servers: nats.url, user: 'u', pass: 'p' })
    t.after(() => client.close())
    const heard: string[] = []
    client.subscribe('allowed', { callback: (_error, message) => void heard.push(message.string()) })
    await client.flush()
    const { endpoint, send } = await startNatsEndpoint(t, { ...login(), topic: '{topic}' }, { log })
    for (let number = 0; number < 20; number++) await send('x', { topic: 'forbidden.x' })
    await send('y', { topic: 'allowed' })
    await until(() => endpoint.counters['refused'] === 20 && heard.length === 1)
    const refused = lines.filter(({ msg }) => msg === 'NATS refused what was published')
    assert.equal(refused.length, 1)
    assert.equal(endpoint.state, 'up')
    assert.equal(endpoint.counters.connects, 1)
  })

  test('with confirmations, just what may not be published is told so, and may be tried again', async (t) => {
    const { send } = await startNatsEndpoint(t, { ...login(), topic: '{topic}', confirm: 'flush' })
    const topics = ['allowed', 'forbidden.a', 'allowed', 'forbidden.b', 'forbidden.a', 'allowed']
    const results = await Promise.all(topics.map((topic) => send('x', { topic })))
    const codes = results.map((error) => (error as { code?: string } | null)?.code ?? 'ok')
    const refused = 'ARALDO_ERR_SEND_FAILED'
    assert.deepEqual(codes, ['ok', refused, 'ok', refused, refused, 'ok'])
    assert.match(String(results[1]), /Permissions Violation for Publish to "forbidden\.a"/)
    assert.equal((results[1] as { retryable?: boolean }).retryable, true)
  })
})
