import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { builtinEndpoints } from '../lib/endpoints/index.ts'
import { CLOSE_CODES } from '../lib/endpoints/websocket/close-codes.ts'
import { builtinMarshallers } from '../lib/marshallers/index.ts'
import { createRegistries, loadConfig } from '../lib/index.ts'
import { globalSchema } from '../lib/schema.ts'

const root = new URL('../', import.meta.url)
const read = (path: string): Promise<string> => readFile(new URL(path, root), 'utf8')

describe('the documentation', () => {
  test('of the configuration names every type and each of its parameters', async () => {
    const text = await read('docs/configuration.md')
    const sections = new Map(text.split(/^#+ /m).map((section) => [section.split('\n')[0], section]))
    for (const { id, schema } of [...builtinEndpoints, { id: 'global', schema: globalSchema }]) {
      const section = sections.get(id)
      assert.ok(section !== undefined, `no section '${id}'`)
      for (const key of Object.keys(schema['properties'] as object)) {
        assert.ok(section.includes(`\`${key}\``), `'${key}' of ${id} is not in its section`)
      }
    }
    for (const { id } of builtinMarshallers) assert.ok(text.includes(`\`${id}\``), id)
  })

  test('of the close codes names each', async () => {
    const text = await read('docs/websocket.md')
    for (const { code } of Object.values(CLOSE_CODES)) assert.match(text, new RegExp(`^\\| ${code} \\|`, 'm'))
  })

  test('has no dead links between its files', async () => {
    const pages = [
      'README.md',
      'CONTRIBUTING.md',
      ...(await readdir(new URL('docs/', root))).map((name) => `docs/${name}`),
    ]
    for (const page of pages.filter((name) => name.endsWith('.md'))) {
      for (const [, link = ''] of (await read(page)).matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        assert.ok(existsSync(new URL(link, new URL(page, root))), `${page} links to ${link}`)
      }
    }
  })

  test("the README's config is valid", async () => {
    const [, yaml = ''] = /```yaml\n(global:[^]*?)```/.exec(await read('README.md')) ?? []
    const config = await loadConfig(yaml, createRegistries())
    assert.deepEqual(
      config.routes.map(({ source, lanes }) => [source, ...lanes.map((lane) => lane.to)]),
      [
        ['browsers', 'orders'],
        ['orders', 'browsers', 'large'],
      ],
    )
    assert.deepEqual(config.warnings, [])
  })
})
