import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'

const root = new URL('../', import.meta.url)

/** What chapters 1 and 2 of the original's manual name, in its words. */
const ITEMS = [
  'Push notification',
  'between browsers |',
  'between browsers and a backend',
  'Interoperability',
  'Central server',
  'clients connect to',
  'connect to other servers',
  'Routes',
  'gevent, greenlets',
  'loaded automatically',
  'araldo-redis',
  'araldo-websocket',
  'entry points',
  'pip install araldo',
  '-h, --help',
  '-c CONFIG, --config=CONFIG',
  'araldo.yaml in the current directory',
  'global settings',
  'plugin instances',
  'routes (connections between endpoints)',
  'server-port',
  'log-level',
  'name: unique name',
  'id: identifier',
  'a list of names',
  'Sample configuration',
  'endpoint-mock |',
  'channel of an endpoint-mock',
  'marshal-json',
  'Platform',
  'araldo.app:',
  'araldo.app.AppException',
  'araldo.app.TooLong',
  '__call__',
  'araldo.server:',
  'araldo.server.main',
  'araldo.server.parse_args',
  'araldo.server.setup_logging',
  'araldo.server.setup_plugins',
  'araldo.server.setup_sending',
  'araldo.server.setup_signals',
  'araldo.server.sig_handler',
  'araldo.server.start_server',
  'araldo.endpoints.EndPointBase',
  'EndPointBase._run',
  'EndPointBase.config()',
  'EndPointBase.description()',
  'EndPointBase.gevent_queue',
  'EndPointBase.marshalling()',
  'EndPointBase.name()',
  'EndPointBase.plugin_manager()',
  'EndPointBase.send(message)',
  'araldo.endpoints.PluginException',
]

interface Row {
  readonly item: string
  readonly counterpart: string
  readonly file: string
  readonly name: string
}

async function table(): Promise<Row[]> {
  const text = await readFile(new URL('docs/original.md', root), 'utf8')
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| In the manual') && !line.startsWith('| ---'))
    .map((line) => {
      const [item = '', counterpart = '', where = ''] = line.slice(2, -2).split(' | ')
      const [, file = '', name = ''] = /^`([^`]+)` (.+)$/.exec(where) ?? []
      return { item: `${item} |`, counterpart, file, name }
    })
}

describe("the original's manual", () => {
  test('has a counterpart here for each of its items', async () => {
    const rows = await table()
    for (const item of ITEMS)
      assert.ok(
        rows.some((row) => row.item.includes(item)),
        `no row for '${item}'`,
      )
    assert.equal(rows.length, ITEMS.length, 'a row for each item, an item for each row')
  })

  test('is mapped to names that exist', async () => {
    for (const { item, counterpart, file, name } of await table()) {
      assert.ok(counterpart.length > 0, item)
      const source = await readFile(new URL(file, root), 'utf8').catch(() => '')
      assert.ok(source.includes(name), `${item} ${file} holds no '${name}'`)
    }
  })
})
