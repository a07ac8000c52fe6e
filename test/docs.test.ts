import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { builtinEndpoints } from '../lib/endpoints/index.ts'
import { CLOSE_CODES } from '../lib/endpoints/websocket/close-codes.ts'
import { builtinMarshallers } from '../lib/marshallers/index.ts'
import { createRegistries, loadConfig } from '../lib/index.ts'
import { globalSchema } from '../lib/schema.ts'
import { fillOptions, markedTypes, optionsTable, referencePages } from '../scripts/reference.ts'

const root = new URL('../', import.meta.url)
const read = (path: string): Promise<string> => readFile(new URL(path, root), 'utf8')

describe('the documentation', () => {
  test('of the configuration names each parameter of global', async () => {
    const [, section = ''] = (await read('docs/configuration.md')).split(/^## /m)
    for (const key of Object.keys(globalSchema['properties'] as object)) {
      assert.ok(section.includes(`\`${key}\``), `'${key}' of global is not in its section`)
    }
  })

  test('has a page for each endpoint type, and a row in the index', async () => {
    const index = await read('docs/connectors/README.md')
    for (const { id } of builtinEndpoints) {
      const page = `${id.replace(/^endpoint-/, '')}.md`
      assert.ok(existsSync(new URL(`docs/connectors/${page}`, root)), `docs/connectors/${page} is missing`)
      assert.deepEqual(markedTypes(await read(`docs/connectors/${page}`)), [id], `docs/connectors/${page}`)
      assert.ok(index.includes(`| [\`${id}\`](${page}) |`), `docs/connectors/README.md has no row for ${id}`)
    }
  })

  test('names each endpoint type and each marshaller in the README', async () => {
    const text = await read('README.md')
    for (const { id } of builtinEndpoints) {
      const page = `docs/connectors/${id.replace(/^endpoint-/, '')}.md`
      assert.ok(text.includes(`| [\`${id}\`](${page}) |`), `README.md has no row for ${id}`)
    }
    for (const { id } of builtinMarshallers) assert.ok(text.includes(`\`${id}\``), `README.md does not name ${id}`)
  })

  test('of the marshallers has a table of options for each', async () => {
    const marked = markedTypes(await read('docs/marshallers.md'))
    assert.deepEqual(marked.toSorted(), builtinMarshallers.map(({ id }) => id).toSorted())
  })

  test('has the options that the schemas have; `npm run reference` makes the tables', async () => {
    for (const page of referencePages()) {
      const text = await read(`docs/${page}`)
      assert.equal(text, fillOptions(text), `docs/${page} is not up to date: npm run reference`)
    }
  })

  test('says of every option what it is', () => {
    for (const { id, schema } of [...builtinEndpoints, ...builtinMarshallers]) {
      const silent = optionsTable(schema)
        .split('\n')
        .slice(2)
        .filter((row) => row.endsWith('| |'))
      assert.deepEqual(silent, [], `${id}: give each option a description`)
    }
  })

  test('of the close codes names each', async () => {
    const text = await read('docs/connectors/websocket.md')
    for (const { code } of Object.values(CLOSE_CODES)) assert.match(text, new RegExp(`^\\| ${code} \\|`, 'm'))
  })

  test('has no dead links between its files', async () => {
    const pages = [
      'README.md',
      'CONTRIBUTING.md',
      ...(await readdir(new URL('docs/', root), { recursive: true })).map((name) => `docs/${name}`),
    ]
    for (const page of pages.filter((name) => name.endsWith('.md') && !name.startsWith('docs/api/'))) {
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
