/** Who is let in: certificates and passwords. No secret in a reason or in the log. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import { type Certificate, makeCertificate } from '../../support/certificate.ts'
import { recordingLog } from '../../support/core.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startPostgresEndpoint } from './support.ts'

const SECRET = 'p@ss/w:rd%?#'

describe('endpoint-postgres, TLS and passwords', { skip: need('initdb', 'postgres', 'psql', 'openssl') }, () => {
  let certificate: Certificate
  let server: PostgresServer
  before(async () => {
    certificate = await makeCertificate()
    server = await startPostgres({
      certificate,
      hba: [
        'host all postgres 127.0.0.1/32 trust',
        'hostssl all sealed 127.0.0.1/32 trust clientcert=verify-ca',
        'host all relay 127.0.0.1/32 scram-sha-256',
      ],
    })
    await server.sql(`CREATE ROLE relay LOGIN PASSWORD '${SECRET}'; CREATE ROLE sealed LOGIN`)
  })

  const at = (username: string): { url: string } => ({
    url: `postgres://${username}@127.0.0.1:${server.port}/postgres`,
  })

  /** Whether its connection is encrypted. */
  const isEncrypted = async (name: string): Promise<string> =>
    server.sql(
      `SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = '${name}'`,
    )

  test('a server with a certificate of an own authority is spoken to, by the address it is for', async (t) => {
    const options = { ...at('postgres'), channel: 'tls', tls: { ca: certificate.caFile }, 'application-name': 'tls' }
    const { send, texts } = await startPostgresEndpoint(t, options)
    assert.equal(await send('by TLS'), null)
    assert.deepEqual(await texts(1), ['by TLS'])
    assert.equal(await isEncrypted('tls'), 't')
  })

  test('a name that the certificate is not for, and an authority nobody trusts, are refused', async (t) => {
    for (const [tls, reason] of [
      [{ ca: certificate.ca, servername: 'other.example' }, /other\.example/],
      [true, /certificate/],
    ] as const) {
      const { endpoint } = await startPostgresEndpoint(t, { ...at('postgres'), topic: 'x', tls }, { mayBeDown: true })
      await until(() => reason.test(endpoint.reason ?? ''), { message: String(reason) })
    }
    const tls = { ca: certificate.ca, servername: 'localhost' }
    await startPostgresEndpoint(t, { ...at('postgres'), topic: 'x', tls })
  })

  test('a server without TLS is refused where there is to be TLS', async (t) => {
    const plain = await startPostgres({ t })
    const options = { url: `${plain.url}?sslmode=verify-full`, topic: 'x' }
    const { endpoint } = await startPostgresEndpoint(t, options, { mayBeDown: true })
    await until(() => /does not support SSL/.test(endpoint.reason ?? ''))
  })

  test('a client certificate is shown, from files and from PEM text', async (t) => {
    const { ca, certFile, keyFile } = certificate
    const pem = { ca, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
    for (const tls of [{ ca, cert: certFile, key: keyFile }, pem]) {
      await startPostgresEndpoint(t, { ...at('sealed'), topic: 'x', tls })
    }
    const { endpoint } = await startPostgresEndpoint(
      t,
      { ...at('sealed'), topic: 'x', tls: { ca } },
      { mayBeDown: true },
    )
    await until(() => /client certificate|certificate required/.test(endpoint.reason ?? ''))
  })

  test('a password is said, in the url or beside it; a wrong one is a reason without it', async (t) => {
    const url = `postgres://relay:${encodeURIComponent(SECRET)}@127.0.0.1:${server.port}/postgres`
    const one = await startPostgresEndpoint(t, { url, topic: 'x' })
    const other = await startPostgresEndpoint(t, { ...at('relay'), password: SECRET, topic: 'x' })
    assert.equal(await one.send('x'), null)
    assert.equal(await other.send('x'), null)
    const { log, lines } = recordingLog()
    const wrong = await startPostgresEndpoint(
      t,
      { ...at('relay'), password: `${SECRET}!`, topic: 'x' },
      { mayBeDown: true, log },
    )
    await until(() => wrong.endpoint.reason === 'password authentication failed for user "relay" (28P01)')
    const none = await startPostgresEndpoint(t, { ...at('relay'), topic: 'x' }, { mayBeDown: true, log })
    await until(() => /password must be a non-empty string/.test(none.endpoint.reason ?? ''))
    await until(() => lines.length >= 2)
    assert.doesNotMatch(JSON.stringify(lines), /p@ss|p%40ss/)
  })

  test("the environment's PGPASSWORD and PGHOST are not looked at", async (t) => {
    const before = { ...process.env }
    Object.assign(process.env, { PGPASSWORD: SECRET, PGHOST: '203.0.113.1', PGSSLMODE: 'require' })
    t.after(() => {
      for (const name of ['PGPASSWORD', 'PGHOST', 'PGSSLMODE']) delete process.env[name]
      Object.assign(process.env, before)
    })
    const options = { username: 'relay', port: server.port, database: 'postgres', topic: 'x' }
    const { endpoint } = await startPostgresEndpoint(t, options, { mayBeDown: true })
    await until(() => /password must be a non-empty string/.test(endpoint.reason ?? ''))
  })
})
