import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { before, describe, test } from 'node:test'
import { type Certificate, makeCertificate } from '../../support/certificate.ts'
import { recordingLog } from '../../support/core.ts'
import { freePort } from '../../support/port.ts'
import type { Owner } from '../../support/process.ts'
import { type RabbitmqServer, startRabbitmq } from '../../support/rabbitmq.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { connectOnlooker, reasonOf, startAmqp } from './support.ts'

const SECRET = 'do-not-tell'

describe('a broker that is choosy', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd', 'openssl') }, () => {
  let rabbitmq: RabbitmqServer
  let certificate: Certificate
  let tlsPort: number
  before(async () => {
    ;[certificate, tlsPort] = await Promise.all([makeCertificate(), freePort()])
    rabbitmq = await startRabbitmq({
      plugins: ['rabbitmq_auth_mechanism_ssl'],
      config: [
        `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
        `ssl_options.cacertfile = ${certificate.caFile}`,
        `ssl_options.certfile = ${certificate.certFile}`,
        `ssl_options.keyfile = ${certificate.keyFile}`,
        'ssl_options.verify = verify_peer',
        'ssl_options.fail_if_no_peer_cert = false',
        'auth_mechanisms.1 = PLAIN',
        'auth_mechanisms.2 = EXTERNAL',
        'ssl_cert_login_from = common_name',
      ].join('\n'),
    })
  })

  const tls = (): object => {
    const { caFile, certFile, keyFile } = certificate
    return { ca: caFile, cert: certFile, key: keyFile }
  }

  /** Why it does not come up; with all that is logged meanwhile free of the secret. */
  async function reason(t: Owner, declared: object): Promise<string> {
    const { log, lines } = recordingLog()
    const { endpoint, close } = await startAmqp(t, { topic: 'q', ...declared }, { mayBeDown: true, log })
    const why = await reasonOf(endpoint)
    await close()
    assert.ok(!JSON.stringify([lines, why]).includes(SECRET))
    return why
  }

  test('is reached by TLS, with its authority known', async (t) => {
    const declared = { host: 'localhost', port: tlsPort, tls: { ca: certificate.ca }, queue: 'tls', topic: 'tls' }
    const { send, texts } = await startAmqp(t, { ...declared, declare: { type: 'classic' } })
    assert.equal(await send('safe'), null)
    assert.deepEqual(await texts(1), ['safe'])
  })

  test('is not trusted with another certificate', async (t) => {
    assert.match(await reason(t, { url: `amqps://localhost:${tlsPort}` }), /certificate/)
  })

  test("lets in by the client's certificate alone", async (t) => {
    await rabbitmq.control('add_user', 'localhost', SECRET)
    await rabbitmq.control('clear_password', 'localhost')
    const declared = { url: `amqps://localhost:${tlsPort}`, mechanism: 'external', tls: tls(), topic: 'q' }
    const { endpoint } = await startAmqp(t, declared, { mayBeDown: true })
    assert.match(await reasonOf(endpoint), /not into the vhost|ACCESS_REFUSED|NOT_ALLOWED/)
    await rabbitmq.control('set_permissions', 'localhost', '.*', '.*', '.*')
    await endpoint.whenUp(20_000)
    const users = await rabbitmq.control('list_connections', '--quiet', 'user', 'auth_mechanism', 'client_properties')
    assert.match(users, /localhost\tEXTERNAL\t.*araldo orders/)
  })

  test('says that a password is wrong, and the relay does not say which', async (t) => {
    const url = `amqp://guest:${SECRET}@127.0.0.1:${rabbitmq.port}`
    assert.match(await reason(t, { url }), /^403 ACCESS_REFUSED - Login was refused.*Check 'username' and 'password'/)
  })

  test('has no such vhost', async (t) => {
    assert.match(await reason(t, { url: `${rabbitmq.url}/nowhere` }), /not into the vhost/)
  })

  test('has vhosts whose names hold anything', async (t) => {
    const vhost = 'a/b %2F ü'
    await rabbitmq.control('add_vhost', vhost)
    await rabbitmq.control('set_permissions', '-p', vhost, 'guest', '.*', '.*', '.*')
    await startAmqp(t, { url: rabbitmq.url, vhost, topic: 'q' })
    await startAmqp(t, { url: `${rabbitmq.url}/${encodeURIComponent(vhost)}`, topic: 'q' })
  })

  test('gives a right later', async (t) => {
    const onlooker = await connectOnlooker(t, rabbitmq)
    await onlooker.channel.assertQueue('closed')
    await rabbitmq.control('add_user', 'reader', SECRET)
    await rabbitmq.control('set_permissions', 'reader', '^$', '^$', '^$')
    const url = `amqp://reader:${SECRET}@127.0.0.1:${rabbitmq.port}`
    assert.match(await reason(t, { url, queue: 'closed', topic: undefined }), /^403 ACCESS_REFUSED - .*'closed'/)
  })

  test('is missed soon when it falls silent', async (t) => {
    const declared = { url: rabbitmq.url, queue: 'silent', topic: 'silent', heartbeat: '1s', declare: true }
    const { endpoint } = await startAmqp(t, declared)
    t.after(() => rabbitmq.resume())
    rabbitmq.pause()
    await until(() => endpoint.state !== 'up', { timeout: 10_000, message: 'the silence to be noticed' })
    assert.match(endpoint.reason ?? '', /^the broker has been silent for two heartbeats$/)
    rabbitmq.resume()
    await endpoint.whenUp(20_000)
  })
})

describe('what is no broker', () => {
  async function listen(t: Owner, onSocket: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>()
    const server: Server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      onSocket(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    return `amqp://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const answers: Readonly<Record<string, Buffer>> = {
    'a web server': Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
    'AMQP of another version': Buffer.from('AMQP\0\x01\0\0'),
    'a frame without end': Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 10]), Buffer.from([0])]),
    'a frame that is too large': Buffer.from([1, 0, 0, 0xff, 0xff, 0xff, 0xff]),
    'a method that there is none of': Buffer.from([1, 0, 0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0xce]),
  }
  for (const [what, answer] of Object.entries(answers)) {
    test(`keeps the endpoint down: ${what}`, async (t) => {
      const url = await listen(t, (socket) => socket.end(answer))
      const { endpoint, close } = await startAmqp(t, { url, queue: 'q', topic: 'q' }, { mayBeDown: true })
      assert.ok((await reasonOf(endpoint)).length > 0)
      await close()
    })
  }

  test('does not hold an end up by accepting and saying nothing', async (t) => {
    let connected = 0
    const url = await listen(t, () => connected++)
    const { endpoint, close } = await startAmqp(t, { url, queue: 'q', topic: 'q' }, { mayBeDown: true })
    await until(() => connected > 0)
    await close()
    assert.equal(endpoint.state, 'closed')
  })
})
