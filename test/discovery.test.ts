import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { ConfigError, loadConfig, type Config, type PluginRegistries } from '../lib/config.ts'
import { discoverTypes, loadTypeModule } from '../lib/discovery.ts'
import { Registry } from '../lib/registry.ts'
import { endpointType, registries } from './config/support.ts'
import { temporaryFolder } from './support/process.ts'

type Files = Readonly<Record<string, string | object>>

/** A project on disk: text as it is, objects as JSON. Every project is its own, since modules are loaded once. */
function project(files: Files): string {
  const folder = temporaryFolder('project')
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

function typeSource(id: string, schema: object = { type: 'object', properties: { file: { type: 'string' } } }): string {
  const target = '{ confirm: false, headers: false, topics: false, echo: false }'
  return `{ id: '${id}', schema: ${JSON.stringify(schema)}, capabilities: () => ({ source: null, target: ${target} }), plugin: async () => {} }`
}

function marshallerSource(id: string): string {
  return `{ id: '${id}', schema: { type: 'object', properties: {} }, create: () => ({}) }`
}

const HOST = { name: 'host', dependencies: { 'araldo-foo': '^1.0.0' } }
const FOO = { name: 'araldo-foo', type: 'module', araldo: { plugins: ['./dist/foo.js'] } }

function config(id: string, list = 'araldo.endpoints.endpoint', own = ''): string {
  return `plugins:\n  ${list}:\n    - name: x\n      id: ${id}\n${own}routes: {}\n`
}

async function loadIn(folder: string, text: string, found = registries()): Promise<Config> {
  writeFileSync(join(folder, 'araldo.yaml'), text)
  return loadConfig(join(folder, 'araldo.yaml'), found, { env: {} })
}

async function errorsIn(folder: string, text: string, found?: PluginRegistries): Promise<string[]> {
  try {
    await loadIn(folder, text, found)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    const errors = error.diagnostics.filter(({ severity }) => severity === 'error')
    return errors.map(
      ({ line, message }) => `${line === undefined ? '' : `${line}: `}${message.replaceAll(folder, '.')}`,
    )
  }
  return assert.fail('it loaded')
}

describe("packages of the host's", () => {
  for (const field of ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']) {
    it(`that are among its ${field} bring their types without being listed anywhere`, async () => {
      const folder = project({
        'package.json': { name: 'host', [field]: { 'araldo-foo': '1', 'not-installed': '1', '../evil': '1' } },
        'node_modules/araldo-foo/package.json': { ...FOO, araldo: { plugins: ['./dist/foo.js', './dist/bar.js'] } },
        'node_modules/araldo-foo/dist/foo.js': `export default ${typeSource('endpoint-foo')}\nexport const marshalFoo = ${marshallerSource('marshal-foo')}\nexport const version = 1`,
        'node_modules/araldo-foo/dist/bar.js': `const type = ${typeSource('endpoint-bar')}\nexport { type as default, type as named }`,
      })
      const found = registries()
      await discoverTypes(folder, found)
      assert.ok(['endpoint-foo', 'endpoint-bar'].every((id) => found.endpoints.get(id) !== undefined))
      assert.ok(found.marshallers.get('marshal-foo') !== undefined)
      assert.equal(found.endpoints.originOf('endpoint-foo'), 'the package araldo-foo')
      const { endpoints } = await loadIn(folder, config('endpoint-foo', undefined, '      file: f\n'))
      assert.deepEqual(endpoints[0]?.options, { file: 'f' })
    })
  }

  it('are found from the nearest package.json at or above the config, and in the folders above that', async () => {
    const folder = project({
      'node_modules/araldo-foo/package.json': FOO,
      'node_modules/araldo-foo/dist/foo.js': `export default ${typeSource('endpoint-foo')}`,
      'app/package.json': HOST,
      'app/config/deep/readme': '',
      'package.json': { name: 'workspace' },
    })
    assert.equal((await loadIn(join(folder, 'app/config/deep'), config('endpoint-foo'))).endpoints.length, 1)
    assert.match((await errorsIn(folder, config('endpoint-foo'))).join(), /no endpoint type is 'endpoint-foo'/)
  })

  it('may be the host itself, CommonJS, linked, and scoped', async () => {
    const folder = project({
      'package.json': {
        name: 'host',
        type: 'module',
        dependencies: { '@me/araldo-cjs': '1' },
        araldo: { plugins: ['./own.js'] },
      },
      'own.js': `export default ${typeSource('endpoint-own')}`,
      'elsewhere/package.json': { name: '@me/araldo-cjs', araldo: { plugins: ['plugin.js'] } },
      'elsewhere/plugin.js': `module.exports = { foo: ${typeSource('endpoint-cjs')} }`,
      'node_modules/@me/readme': '',
    })
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'node_modules/@me/araldo-cjs'))
    const found = registries()
    await discoverTypes(folder, found)
    assert.ok(found.endpoints.get('endpoint-own') !== undefined && found.endpoints.get('endpoint-cjs') !== undefined)
    await discoverTypes(folder, found)
  })

  it('that are installed by npm are found', async () => {
    const folder = project({
      'foo/package.json': { ...FOO, version: '1.0.0' },
      'foo/dist/foo.js': `export default ${typeSource('endpoint-foo')}`,
      'host/package.json': { name: 'host', version: '1.0.0', private: true },
    })
    const npm = spawnSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--install-links', '../foo'], {
      cwd: join(folder, 'host'),
      encoding: 'utf8',
    })
    assert.equal(npm.status, 0, npm.stderr)
    assert.equal((await loadIn(join(folder, 'host'), config('endpoint-foo'))).endpoints.length, 1)
  })

  for (const [name, foo, files, expected] of [
    [
      'throws',
      FOO,
      { 'dist/foo.js': "throw new Error('out of order\\nand more')" },
      /^no types could be loaded from the package araldo-foo: .*foo\.js: out of order and more$/,
    ],
    [
      'is no JavaScript',
      FOO,
      { 'dist/foo.js': 'export default {{' },
      /the package araldo-foo: .*foo\.js: Unexpected token/,
    ],
    [
      'needs what is not there',
      FOO,
      { 'dist/foo.js': "import 'nothing-like-it'" },
      /foo\.js: Cannot find package 'nothing-like-it'/,
    ],
    ['lacks the module', FOO, {}, /the package araldo-foo: .*foo\.js: there is no file .*foo\.js$/],
    [
      'has an araldo field of another form',
      { ...FOO, araldo: ['./x.js'] },
      {},
      /the package araldo-foo: expected "araldo": \{ "plugins": \["\.\/module\.js"\] \} in its package\.json/,
    ],
    ['has modules that are no text', { ...FOO, araldo: { plugins: [5] } }, {}, /expected "araldo"/],
    [
      'reaches out of itself',
      { ...FOO, araldo: { plugins: ['../../own.js'] } },
      {},
      /the package araldo-foo: \.\.\/\.\.\/own\.js is outside of the package$/,
    ],
    [
      'exports half a type',
      FOO,
      { 'dist/foo.js': "export default { id: 'endpoint-foo', schema: {}, plugin() {} }" },
      /^'endpoint-foo' of the package araldo-foo is no endpoint type and no marshaller: it has no function 'capabilities'$/,
    ],
    [
      'exports a type without a schema',
      FOO,
      { 'dist/foo.js': "export default { id: 'marshal-foo', create() {} }" },
      /^'marshal-foo' of the package araldo-foo .*: it has no schema$/,
    ],
    [
      'brings a type that there is',
      FOO,
      { 'dist/foo.js': `export default ${typeSource('endpoint-mock')}` },
      /^two plugins claim the id 'endpoint-mock': one from the test, one from the package araldo-foo; remove one of them$/,
    ],
  ] as [string, object, Files, RegExp][]) {
    it(`that ${name}: one error that names the package, the file and the cause`, async () => {
      const inPackage = Object.fromEntries(
        Object.entries(files).map(([path, text]) => [`node_modules/araldo-foo/${path}`, text]),
      )
      const folder = project({ 'package.json': HOST, 'node_modules/araldo-foo/package.json': foo, ...inPackage })
      const errors = await errorsIn(folder, config('endpoint-mock'))
      assert.equal(errors.length, 1, errors.join('\n'))
      assert.match(errors[0] ?? '', expected)
    })
  }

  it('that are broken do not keep the others from being found', async () => {
    const folder = project({
      'package.json': { dependencies: { a: '1', b: '1', c: '1' } },
      'node_modules/a/package.json': { name: 'a', araldo: {} },
      'node_modules/b/package.json': { name: 'b', araldo: {} },
      'node_modules/c/package.json': { name: 'c', type: 'module', araldo: { plugins: ['c.js'] } },
      'node_modules/c/c.js': `export default ${typeSource('endpoint-c')}`,
    })
    const found = registries()
    await assert.rejects(
      discoverTypes(folder, found),
      (error: unknown) => error instanceof AggregateError && error.errors.length === 2,
    )
    assert.ok(found.endpoints.get('endpoint-c') !== undefined)
    assert.equal((await errorsIn(folder, config('endpoint-c'))).length, 2)
  })

  it('cannot be found where there is no package.json, or none that can be read', async () => {
    for (const manifest of ['', 'null', '[]', '{"dependencies":"x"}', '{"dependencies":["a"]}']) {
      await discoverTypes(project({ 'package.json': manifest }), registries())
    }
    await discoverTypes('/', registries())
  })
})

describe('an id that names a module', () => {
  const tail = `export default ${typeSource('endpoint-tail')}`

  it('is that module, relative to the config or absolute', async () => {
    for (const [name, path] of [
      ['a.js', './a.js'],
      ['lib/b.mjs', './lib/b.mjs'],
    ] as const) {
      const folder = project({ 'package.json': { type: 'module' }, [name]: tail })
      for (const id of [path, join(folder, name)]) {
        const { endpoints } = await loadIn(folder, config(id, undefined, '      file: f\n'))
        assert.equal(endpoints[0]?.type.id, 'endpoint-tail')
        assert.deepEqual(endpoints[0]?.options, { file: 'f' })
      }
    }
  })

  it('may be TypeScript where that runs', async () => {
    const folder = project({
      'package.json': { type: 'module' },
      'a.ts': `const type: object = ${typeSource('endpoint-ts')}\nexport default type`,
    })
    const { endpoints } = await loadIn(folder, config('./a.ts'))
    assert.equal(endpoints[0]?.type.id, 'endpoint-ts')
  })

  it('makes its own id known to all entries, before and after', async () => {
    const folder = project({ 'package.json': { type: 'module' }, 'a.js': tail })
    const text = `plugins:
  araldo.endpoints.endpoint:
    - { name: a, id: endpoint-tail }
    - { name: b, id: ./a.js }
    - { name: c, id: ./a.js }
routes: {}
`
    const { endpoints } = await loadIn(folder, text)
    assert.equal(new Set(endpoints.map(({ type }) => type)).size, 1)
    assert.equal(endpoints.length, 3)
  })

  it('may be a marshaller', async () => {
    const folder = project({
      'package.json': { type: 'module' },
      'm.js': `export default ${marshallerSource('marshal-m')}`,
    })
    const { marshallers } = await loadIn(folder, config('./m.js', 'araldo.marshalling'))
    assert.equal(marshallers[0]?.type.id, 'marshal-m')
  })

  for (const [name, source, expected] of [
    [
      'there is none',
      undefined,
      /^4: endpoint: id: no types could be loaded from \.\/a\.js: there is no file \.\/a\.js$/,
    ],
    ['it throws', "throw new Error('no')", /^4: endpoint: id: no types could be loaded from \.\/a\.js: no$/],
    ['it exports nothing of the kind', 'export const a = 1', /^4: endpoint: id: '\.\/a\.js' exports no endpoint type$/],
    ['it exports a marshaller', `export default ${marshallerSource('marshal-m')}`, /exports no endpoint type$/],
    [
      'it exports two',
      `export const a = ${typeSource('endpoint-a')}\nexport const b = ${typeSource('endpoint-b')}`,
      /^4: endpoint: id: '\.\/a\.js' exports 2 endpoint types: name 'endpoint-a' or 'endpoint-b' as the id$/,
    ],
    [
      'its type is there already',
      `export default ${typeSource('endpoint-mock')}`,
      /^4: endpoint: id: two plugins claim the id 'endpoint-mock': one from the test, one from \.\/a\.js; remove one of them$/,
    ],
    [
      'its type is half a type',
      "export default { id: 'endpoint-a', schema: {} }",
      /^4: endpoint: id: 'endpoint-a' of \.\/a\.js is no endpoint type and no marshaller: it has no function 'capabilities'$/,
    ],
    [
      'its schema is none',
      `export default ${typeSource('endpoint-a', { type: 'object', properties: { x: { type: 'nonsense' } } })}`,
      /^3: endpoint 'x': the schema of endpoint type 'endpoint-a' is invalid: /,
    ],
  ] as [string, string | undefined, RegExp][]) {
    it(`is one error at its line if ${name}`, async () => {
      const folder = project({
        'package.json': { type: 'module' },
        ...(source === undefined ? {} : { 'a.js': source }),
      })
      const errors = await errorsIn(folder, config('./a.js'))
      assert.equal(errors.length, 1, errors.join('\n'))
      assert.match(errors[0] ?? '', expected)
    })
  }
})

describe('an id that names a package', () => {
  const main = `export default ${typeSource('endpoint-main')}`
  for (const [name, manifest, file] of [
    ['main', { main: './lib/main.js' }, 'lib/main.js'],
    ['nothing', {}, 'index.js'],
    ['exports as text', { exports: './e.js' }, 'e.js'],
    [
      'exports by condition',
      { exports: { types: './e.d.ts', require: './no.cjs', import: { node: './e.js' } } },
      'e.js',
    ],
    ['exports by path', { exports: { './x': './x.js', '.': { default: './e.js' } } }, 'e.js'],
    ['araldo', { main: './no.js', araldo: { plugins: ['./e.js'] } }, 'e.js'],
  ] as const) {
    it(`is its module by ${name}, whether or not the host depends on it`, async () => {
      const folder = project({
        'package.json': { name: 'host' },
        'node_modules/tail-of-a-file/package.json': { name: 'tail-of-a-file', type: 'module', ...manifest },
        [`node_modules/tail-of-a-file/${file}`]: main,
      })
      const { endpoints } = await loadIn(folder, config('tail-of-a-file'))
      assert.equal(endpoints[0]?.type.id, 'endpoint-main')
    })
  }

  it('that is not installed is an unknown id', async () => {
    const folder = project({ 'package.json': { name: 'host' } })
    assert.match(
      (await errorsIn(folder, config('araldo-nothing'))).join(),
      /^4: endpoint 'x': id: no endpoint type is 'araldo-nothing'/,
    )
    assert.equal(await loadTypeModule('araldo-nothing', folder, registries()), undefined)
    for (const id of [
      '',
      '.',
      '..',
      'a/b/c',
      '@a',
      '../x y',
      'node:fs',
      'https://example.com/x.js',
      'data:text/javascript,1',
    ]) {
      const found = await loadTypeModule(id, folder, registries()).catch((error: { code?: string }) => error.code)
      assert.ok(found === undefined || found === 'ARALDO_ERR_TYPE_UNLOADABLE', id)
    }
  })
})

it('one type may come by several ways', async () => {
  const folder = project({
    'package.json': HOST,
    'node_modules/araldo-foo/package.json': FOO,
    'node_modules/araldo-foo/dist/foo.js': `export default ${typeSource('endpoint-foo')}`,
  })
  const found = registries()
  for (const id of ['endpoint-foo', 'araldo-foo', './node_modules/araldo-foo/dist/foo.js']) {
    assert.equal((await loadIn(folder, config(id), found)).endpoints[0]?.type, found.endpoints.get('endpoint-foo'))
  }
})

it('registries do not share what they found', async () => {
  const folder = project({ 'package.json': { type: 'module' }, 'a.js': `export default ${typeSource('endpoint-a')}` })
  const one: PluginRegistries = { endpoints: new Registry(), marshallers: new Registry() }
  const other: PluginRegistries = { endpoints: new Registry(), marshallers: new Registry() }
  other.endpoints.add(endpointType('endpoint-a', { type: 'object' }), 'the test')
  await loadTypeModule('./a.js', folder, one)
  assert.ok(one.endpoints.get('endpoint-a') !== undefined)
  await assert.rejects(loadTypeModule('./a.js', folder, other), { code: 'ARALDO_ERR_TYPE_DUPLICATE' })
})
