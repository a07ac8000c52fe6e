import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { makeCertificate, type Certificate } from '../../support/certificate.ts'
import { type MosquittoServer, startMosquitto } from '../../support/mosquitto.ts'
import { runOrThrow, temporaryFolder } from '../../support/process.ts'
import { locate, need } from '../../support/require.ts'
import { startMqtt } from './support.ts'

describe('TLS', { skip: need('mosquitto', 'openssl') }, () => {
  let certificate: Certificate
  let mosquitto: MosquittoServer
  const url = (host = '127.0.0.1'): string => `mqtts://${host}:${mosquitto.port}`

  before(async () => {
    certificate = await makeCertificate()
    const { caFile, certFile, keyFile } = certificate
    mosquitto = await startMosquitto({
      tls: [`cafile ${caFile}`, `certfile ${certFile}`, `keyfile ${keyFile}`, 'require_certificate true'],
    })
  })

  test('with the authority and a client certificate connects, by address and by name', async (t) => {
    const { caFile: ca, certFile: cert, keyFile: key } = certificate
    for (const host of ['127.0.0.1', 'localhost']) {
      const { send } = await startMqtt(t, { url: url(host), topic: 'a', tls: { ca, cert, key }, 'client-id': host })
      assert.equal(await send('x'), null)
    }
  })

  test('carries a WebSocket, too: wss', async (t) => {
    const { caFile: ca, certFile: cert, keyFile: key } = certificate
    const lines = [`cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`, 'require_certificate true']
    const server = await startMosquitto({ t, webSocket: true, config: lines.join('\n') })
    const secure = server.webSocketUrl?.replace('ws:', 'wss:') ?? ''
    const { send } = await startMqtt(t, { url: secure, topic: 'a', tls: { ca, cert, key } })
    assert.equal(await send('x'), null)
    const stranger = await startMqtt(t, { url: secure, topic: 'a', tls: { ca }, 'client-id': 'b' }, { mayBeDown: true })
    await stranger.down(/./)
    assert.equal(stranger.endpoint.counters.connects, 0)
  })

  test('without a client certificate is refused', async (t) => {
    const options = { url: url(), topic: 'a', tls: { ca: certificate.ca } }
    const { endpoint, down } = await startMqtt(t, options, { mayBeDown: true })
    await down(/./)
    assert.equal(endpoint.counters.connects, 0)
  })

  test('does not trust an authority that it does not know', async (t) => {
    const { down } = await startMqtt(t, { url: url(), topic: 'a' }, { mayBeDown: true })
    assert.match(await down(/certificate/), /certificate/)
  })
})

describe('a login', { skip: need('mosquitto') || locate('mosquitto_passwd') === undefined }, () => {
  let mosquitto: MosquittoServer

  before(async () => {
    const file = join(temporaryFolder('passwords'), 'passwords')
    writeFileSync(file, '')
    await runOrThrow('mosquitto_passwd', ['-b', file, 'relay', 'sesame'])
    mosquitto = await startMosquitto({ config: `allow_anonymous false\npassword_file ${file}` })
  })

  for (const version of [5, '3.1.1'] as const) {
    test(`that is right comes up; one that is wrong says so, without the password (${version})`, async (t) => {
      const base = { topic: 'a', version }
      const right = await startMqtt(t, { ...base, url: mosquitto.url, username: 'relay', password: 'sesame' })
      assert.equal(await right.send('x'), null)
      await right.close()
      const inUrl = await startMqtt(t, { ...base, url: `mqtt://relay:sesame@127.0.0.1:${mosquitto.port}` })
      await inUrl.close()
      const wrong = { ...base, url: `mqtt://relay:s3cret-pass@127.0.0.1:${mosquitto.port}` }
      const { down } = await startMqtt(t, wrong, { mayBeDown: true })
      const reason = await down(/refused/)
      assert.match(reason, /[Nn]ot authorized|[Bb]ad [Uu]ser/)
      assert.ok(!reason.includes('s3cret-pass'), reason)
    })
  }
})
