/** `araldo diff` and SIGHUP: the command as users run it. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { araldo, startAraldo } from '../support/araldo.ts'
import { connect } from '../support/client.ts'
import { temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'

const CONFIG = `
global: { server-port: 0, shutdown-timeout: 5s }
plugins:
  araldo.endpoints.endpoint:
    - { name: browsers, id: endpoint-websocket, path: /ws }
    - { name: kept, id: endpoint-mock, channel: "\${CHANNEL:-one}" }
routes:
  browsers: [browsers, { to: kept, when: body.total > 1.0 }]
`

async function files(before: string, after: string): Promise<[string, string]> {
  const folder = temporaryFolder('diff')
  const paths: [string, string] = [join(folder, 'old.yaml'), join(folder, 'new.yaml')]
  await Promise.all([writeFile(paths[0], before), writeFile(paths[1], after)])
  return paths
}

describe('araldo diff', () => {
  test('says what is different, by name and key and without a value, and exits with 1', async () => {
    const changed = CONFIG.replace('server-port: 0', 'server-port: 1')
      .replace('/ws }', '/ws, max-connections: 5 }')
      .replace('1.0 }', '2.0, retry: { max-delay: 3s } }')
      .replaceAll('kept', 'stored')
      .replace('\nroutes:', '\n    - { name: more, id: endpoint-app }\nroutes:\n  more: [browsers]')
    const { code, stdout, stderr } = await araldo(['diff', ...(await files(CONFIG, changed))])
    assert.equal(stderr, '')
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      '~ global server-port (from the next start on)',
      '- endpoint kept',
      '+ endpoint stored',
      '+ endpoint more',
      '~ endpoint browsers: max-connections',
      '+ route more',
      '- lane browsers → kept',
      '+ lane more → browsers',
      '+ lane browsers → stored',
    ])
    assert.equal(code, 1)
  })

  test('tells of steps in another order', async () => {
    const listed = (steps: string): string => CONFIG.replace('when: body.total > 1.0', `steps: [${steps}]`)
    const [one, other] = ['{ map: body }, { when: body.total > 1.0 }', '{ when: body.total > 1.0 }, { map: body }']
    const { stdout } = await araldo(['diff', ...(await files(listed(one), listed(other)))])
    assert.match(stdout, /^~ lane browsers → kept: .*steps/m)
    const same = await araldo(['diff', ...(await files(listed('{ when: body.total > 1.0 }'), CONFIG))])
    assert.deepEqual([same.stdout.includes('lane'), same.code], [false, 0])
  })

  test('names the keys of steps, delivery and secrets', async () => {
    const changed = CONFIG.replace('${CHANNEL:-one}', '${SECRET}').replace(
      'when: body.total > 1.0',
      'when: body.total > 2.0, headers: { a: x }, buffer: { messages: 5 }, retry: { max-delay: 3s }, optional: true',
    )
    const { code, stdout } = await araldo(['diff', ...(await files(CONFIG, changed))], { env: { SECRET: 'hunter2' } })
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      '~ endpoint kept: channel',
      '~ lane browsers → kept: optional, when, retry.max-delay, overflow, buffer.messages, headers',
    ])
    assert.equal(code, 1)
  })

  test('prints nothing and exits with 0 where both do the same, however they are written', async () => {
    const same = CONFIG.replace('path: /ws', 'ping-interval: 25000, path: /ws').replace('body.total', 'body.total')
    const { code, stdout } = await araldo(['diff', ...(await files(CONFIG, `# the same\n${same}`))])
    assert.deepEqual([code, stdout], [0, ''])
  })

  test('exits with 2 where one cannot be used, or is missing', async () => {
    const paths = await files(CONFIG, CONFIG.replace('/ws', '5'))
    const invalid = await araldo(['diff', ...paths])
    assert.equal(invalid.code, 2)
    assert.match(invalid.stderr, /new\.yaml:5:\d+: error: endpoint 'browsers': path/)
    for (const args of [[], [paths[0]], [...paths, paths[0]], ['-c', ...paths]]) {
      const { code, stderr } = await araldo(['diff', ...args])
      assert.equal(code, 2)
      assert.match(stderr, /araldo diff OLD NEW/)
    }
  })
})

describe('SIGHUP', () => {
  test('makes the relay read its config again; one that is wrong changes nothing, and the exit code is not touched', async (t) => {
    const relay = await startAraldo(CONFIG, { t })
    const file = join(relay.folder, 'araldo.yaml')
    const client = await connect(`ws://${relay.host}/ws`, { t })
    const hash = async (): Promise<unknown> => {
      const response = await fetch(`http://${relay.host}/health/ready`)
      return ((await response.json()) as { config: unknown }).config
    }
    const first = await hash()

    await writeFile(file, CONFIG.replace('/ws', '5').replace('[browsers, ', '[browser, '))
    relay.process.signal('SIGHUP')
    await relay.process.line(/"msg":"not reloaded: the config that held before still does"/)
    const line = relay.log().find(({ msg }) => String(msg).startsWith('not reloaded'))
    assert.equal((line?.['problems'] as string[] | undefined)?.length, 2)
    assert.equal(await hash(), first)

    await writeFile(
      file,
      CONFIG.replace('server-port: 0', 'server-port: 1')
        .replace('\nroutes', '\n    - { name: more, id: endpoint-websocket, path: /more }\nroutes')
        .replace('browsers: [', 'browsers: [more, '),
    )
    relay.process.signal('SIGHUP')
    await relay.process.line(/"msg":"reloaded"/)
    const reloaded = relay.log().find(({ msg }) => msg === 'reloaded')
    assert.deepEqual(reloaded?.['changes'], [
      '~ global server-port (from the next start on)',
      '+ endpoint more',
      '+ lane browsers → more',
    ])
    assert.equal(reloaded?.['config'], await hash())
    const more = await connect(`ws://${relay.host}/more`, { t })
    await client.send('{"total":1}')
    assert.equal(await more.next(), '{"total":1}')

    // Many at once are one more, or a few.
    for (let count = 0; count < 20; count++) relay.process.signal('SIGHUP')
    await until(() => relay.log().some(({ msg }) => /nothing to reload/.test(String(msg))))
    assert.equal((await relay.process.stop()).code, 0)
    assert.equal((await client.closed).code, 1001)
  })
})
