/** The package as its users get it: packed, installed in an empty project, and used from there. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { builtinEndpoints } from '../lib/endpoints/index.ts'
import { builtinMarshallers } from '../lib/marshallers/index.ts'
import { runOrThrow, temporaryFolder } from './support/process.ts'
import { find } from './support/require.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const NPM_TIMEOUT = 120_000

interface Manifest {
  readonly version: string
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest

/** What every consumer here does: a relay of two mocks, registered and closed. */
const USE = `
  const app = fastify()
  app.register(araldo, {
    config: {
      plugins: { 'araldo.endpoints.endpoint': [
        { name: 'a', id: 'endpoint-mock', channel: 'one' },
        { name: 'b', id: 'endpoint-mock', channel: 'two' },
      ] },
      routes: { a: ['b'] },
    },
  })
  app.ready().then(() => {
    if (typeof app.araldo.publish !== 'function') throw new Error('not decorated')
    return app.close()
  }).then(() => console.log('used'))`

function newestChange(...paths: string[]): number {
  const times = paths.flatMap((path) => {
    const names = statSync(path).isDirectory() ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : []
    return [path, ...names.map((name) => join(path, name))].map((file) => statSync(file).mtimeMs)
  })
  return Math.max(...times)
}

/** Builds where dist/ is missing or older than what it is made from. */
async function buildIfStale(): Promise<void> {
  const inputs = ['lib', 'tsconfig.json', 'tsconfig.build.json'].map((name) => join(ROOT, name))
  let built = 0
  try {
    built = statSync(join(ROOT, 'dist', 'index.js')).mtimeMs
  } catch {
    // not built at all
  }
  if (built < newestChange(...inputs)) await npm(ROOT, 'run', 'build')
}

function npm(cwd: string, ...args: string[]): Promise<string> {
  return runOrThrow(find('npm'), args, { cwd, timeout: NPM_TIMEOUT })
}

describe('the packed package', () => {
  const project = temporaryFolder('consumer')
  const installed = join(project, 'node_modules', 'araldo')

  /** Writes a file into the consumer's project and runs it there. */
  const runFile = (name: string, text: string): Promise<string> => {
    writeFileSync(join(project, name), text)
    return runOrThrow(process.execPath, [name], { cwd: project })
  }

  before(
    async () => {
      await buildIfStale()
      const packed = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', project)
      const [{ filename }] = JSON.parse(packed) as [{ filename: string }]
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
      const packages = [`./${filename}`, `fastify@${manifest.dependencies.fastify}`, '@types/node@20']
      await npm(project, 'install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', ...packages)
    },
    { timeout: NPM_TIMEOUT },
  )

  test('holds what it needs and nothing else', () => {
    const top = readdirSync(installed).toSorted()
    const expected = ['LICENSE', 'README.md', 'dist', 'docs', 'lib', 'package.json']
    assert.deepEqual(
      top.filter((name) => name !== 'CHANGELOG.md'),
      expected,
    )
    const compiled = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' })
    assert.ok(compiled.includes('index.d.ts'))
    assert.deepEqual(
      compiled.filter((name) => /\.test\./.test(name)),
      [],
    )
  })

  test('is imported from ESM', async () => {
    const imports = `import fastify from 'fastify'\nimport araldo, { araldo as named } from 'araldo'\n`
    const output = await runFile('use.mjs', `${imports}if (araldo !== named) throw new Error('two plugins')\n${USE}`)
    assert.equal(output, 'used\n')
  })

  test('is required from CommonJS, and Fastify takes what that gives', async () => {
    const requires = `const fastify = require('fastify')\nconst araldo = require('araldo')\n`
    const output = await runFile(
      'use.cjs',
      `${requires}if (araldo.default !== araldo.araldo) throw new Error()\n${USE}`,
    )
    assert.equal(output, 'used\n')
  })

  test('has every entry point that it promises', async () => {
    for (const entry of Object.keys(manifest.exports).filter((name) => !name.endsWith('.json'))) {
      const name = entry.replace(/^\./, 'araldo')
      const output = await runFile('entry.mjs', `console.log(Object.keys(await import('${name}')).length > 0)`)
      assert.equal(output, 'true\n', name)
    }
  })

  test('types both kinds of consumers, and the decorated server', async () => {
    const body = `
      async function use(): Promise<void> {
        const app: FastifyInstance = fastify()
        const options: AraldoOptions = { config: 'araldo.yaml' }
        await app.register(araldo, options)
        const published: Promise<string> = app.araldo.publish('orders', { total: 1 })
        const id = await published
        const code: string = new errors.CLOSING().code
        // @ts-expect-error: there is no such function; if this compiled, app.araldo would be untyped
        app.araldo.noSuchFunction(code, id)
      }
      void use`
    const imports = [
      `import fastify, { type FastifyInstance } from 'fastify'`,
      `import araldo, { errors, type AraldoOptions } from 'araldo'`,
      `import * as testing from 'araldo/testing'`,
    ].join('\n')
    const files = ['types.mts', 'types.cts']
    for (const file of files) writeFileSync(join(project, file), `${imports}\n${body}\nvoid testing\n`)
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--types', 'node']
    await runOrThrow(join(ROOT, 'node_modules', '.bin', 'tsc'), [...options, ...files], { cwd: project })
  })

  test('puts the command into node_modules/.bin', async () => {
    const output = await runOrThrow(join(project, 'node_modules', '.bin', 'araldo'), ['--version'], { cwd: project })
    assert.ok(output.includes(manifest.version), output)
  })

  test('says of each type that needs a library what to install', async () => {
    const [endpoints, marshallers] = [builtinEndpoints, builtinMarshallers].map((types) =>
      types.filter(({ packages }) => packages !== undefined),
    )
    const list = (types: readonly { id: string }[] = []): object[] => types.map(({ id }) => ({ name: id, id }))
    const config = {
      plugins: { 'araldo.marshalling': list(marshallers), 'araldo.endpoints.endpoint': list(endpoints) },
      routes: {},
    }
    writeFileSync(join(project, 'needy.yaml'), JSON.stringify(config))
    const command = join(project, 'node_modules', '.bin', 'araldo')
    const said = await runOrThrow(command, ['check', '-c', 'needy.yaml'], { cwd: project }).then(
      () => '',
      (error: Error) => error.message,
    )
    for (const { id, packages = {} } of [...(endpoints ?? []), ...(marshallers ?? [])]) {
      const names = Object.entries(packages).map(([name, range]) => `${name}@${range}`)
      const what = names.length === 1 ? 'a package that is' : 'packages that are'
      assert.ok(said.includes(`'${id}' needs ${what} not installed: npm install ${names.join(' ')}`), `${id}: ${said}`)
    }
  })

  test('has a type for each library that is an optional peer, of the version that is tested', () => {
    const needed = [...builtinEndpoints, ...builtinMarshallers].flatMap(({ packages = {} }) => Object.entries(packages))
    const peers = Object.entries(manifest.peerDependencies).map(([name, range]) => [name, /\d+/.exec(range)?.[0]])
    assert.deepEqual(Object.fromEntries(needed), Object.fromEntries(peers))
    for (const name of Object.keys(manifest.peerDependencies)) {
      assert.equal(manifest.peerDependenciesMeta[name]?.optional, true, name)
    }
  })

  test('passes publint', async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, pack: false, strict: true })
    assert.deepEqual(
      messages.map((message) => formatMessage(message, pkg, { color: false })),
      [],
    )
  })
})
