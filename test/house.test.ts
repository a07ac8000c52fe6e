/** The rules of the house that no compiler checks: floors, sizes, and that documents and code say the same. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errors } from '../lib/errors.ts'
import type { AraldoErrorName } from '../lib/errors.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MAX_LINES = 350

/**
 * A file imports from lower floors only; from its own where that makes no circle. A name that ends in a slash stands
 * for all files of that folder. A new file at the top of lib/ is entered here.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['types.ts', 'errors.ts', 'message.ts', 'plain.ts', 'deadline.ts', 'list.ts', 'fresh-map.ts'],
  [
    ...['registry.ts', 'deadlines.ts', 'retry.ts', 'link.ts', 'ledger.ts', 'template.ts', 'expression.ts', 'hops.ts'],
    ...['journal/', 'config/'],
    ...['delivery/outbox.ts', 'delivery/parcel.ts', 'delivery/guarantee.ts', 'delivery/stored-message.ts'],
    ...['steps/function.ts', 'steps/expiry.ts', 'steps/key.ts', 'steps/rate.ts', 'steps/recent.ts', 'steps/result.ts'],
    ...['steps/aged.ts', 'steps/fifo.ts', 'steps/sweep.ts', 'steps/throttle.ts'],
  ],
  [
    ...['config.ts', 'schema.ts', 'endpoint.ts', 'endpoint-hooks.ts', 'marshaller-type.ts', 'discovery.ts', 'view.ts'],
    ...['delivery/', 'steps.ts', 'steps/'],
    ...['reload/fingerprint.ts', 'reload/diff.ts'],
  ],
  ['endpoints/', 'marshallers/', 'http/'],
  ['router.ts', 'route.ts'],
  ['index.ts', 'plugin.ts', 'relay.ts', 'upgrade.ts', 'factory.ts', 'reload/'],
  ['cli.ts', 'cli/', 'testing/'],
]

/** Below the endpoint types nobody knows a protocol, nor needs Fastify at run time; the types of both are fine. */
const PROTOCOL_FREE = new Set([0, 1, 2, 4])
const PROTOCOLS = /^(fastify|ioredis|ws|@fastify\/(redis|websocket))$/

interface Import {
  readonly from: string
  /** `import type …`: gone at run time. */
  readonly typeOnly: boolean
}

interface Source {
  /** Relative to lib/: `endpoints/mock.ts`. */
  readonly name: string
  readonly text: string
  /** Files of the project, relative to lib/. */
  readonly internal: readonly string[]
  readonly external: readonly Import[]
}

function read(...path: string[]): string {
  return readFileSync(join(ROOT, ...path), 'utf8')
}

function sources(): Source[] {
  const names = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .map((name) => {
      const text = read('lib', name)
      const imports = importsOf(text)
      const isInternal = ({ from }: Import): boolean => from.startsWith('.')
      return {
        name,
        text,
        internal: imports.filter(isInternal).map(({ from }) => normalize(join(dirname(name), from))),
        external: imports.filter((item) => !isInternal(item)),
      }
    })
}

/** Statements begin at the beginning of a line, which examples in comments do not; dynamic imports stand anywhere. */
function importsOf(text: string): Import[] {
  const statements = text.matchAll(/^(?:import|export)\b(\s+type\b)?[^'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'/gm)
  const dynamic = text.matchAll(/\bimport\('([^']+)'\)/g)
  return [
    ...Array.from(statements, (match) => ({ from: match[2] ?? match[3] ?? '', typeOnly: match[1] !== undefined })),
    ...Array.from(dynamic, (match) => ({ from: match[1] ?? '', typeOnly: false })),
  ]
}

function floorOf(name: string): number {
  return FLOORS.findIndex((files) => files.some((file) => (file.endsWith('/') ? name.startsWith(file) : name === file)))
}

/** Folders of endpoints/ with several types: a folder each, and beside these what they share. */
const FAMILIES = /^endpoints\/((?:redis|nats)\/[^/]+)\//

/**
 * `endpoints/mock.ts` and everything in `endpoints/mock/` are the type `mock`, everything in `endpoints/redis/stream/` is
 * the type `redis/stream`; what all may use is in `endpoints/common/`; other files are of no type.
 */
function endpointType(name: string): string | undefined {
  return (FAMILIES.exec(name) ?? /^endpoints\/(?!index\.ts|common\/)([^/]+?)(?:\.ts|\/.*)$/.exec(name))?.[1]
}

/** A circle of imports, `a.ts -> b.ts -> a.ts`, or undefined. */
function findCycle(files: readonly Source[]): string | undefined {
  const imports = new Map(files.map(({ name, internal }) => [name, internal]))
  const finished = new Set<string>()
  const path: string[] = []
  const visit = (name: string): string | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name].join(' -> ')
    if (finished.has(name)) return undefined
    path.push(name)
    for (const next of imports.get(name) ?? []) {
      const cycle = visit(next)
      if (cycle !== undefined) return cycle
    }
    path.pop()
    finished.add(name)
    return undefined
  }
  for (const { name } of files) {
    const cycle = visit(name)
    if (cycle !== undefined) return cycle
  }
  return undefined
}

describe('the floors', () => {
  const files = sources()

  test('every file of lib is on a floor, and says the same of itself', () => {
    for (const { name, text } of files) {
      assert.notEqual(floorOf(name), -1, `lib/${name} is on no floor: enter it in test/house.test.ts`)
      const said = /^\s*(?:\/\*\*|\*)\s*Floor (\d)\b/m.exec(text.slice(0, 500))?.[1]
      if (said !== undefined) assert.equal(Number(said), floorOf(name), `lib/${name} says that it is on floor ${said}`)
    }
  })

  test('a file imports only files that are there, from its own floor or lower ones', () => {
    const names = new Set(files.map(({ name }) => name))
    for (const { name, internal } of files) {
      for (const target of internal) {
        assert.ok(names.has(target), `lib/${name} imports ${target}, which is not in lib/`)
        assert.ok(floorOf(target) <= floorOf(name), `lib/${name} imports from a higher floor: ${target}`)
      }
    }
  })

  test('no imports go round in a circle', () => {
    assert.equal(findCycle(files), undefined)
  })

  test('an endpoint type knows none of its siblings', () => {
    for (const { name, internal } of files) {
      const type = endpointType(name)
      if (type === undefined) continue
      for (const target of internal.filter((file) => file.startsWith('endpoints/'))) {
        const known = endpointType(target)
        const isShared = target.startsWith('endpoints/common/') || type.startsWith(`${known}/`)
        assert.ok(isShared || known === type, `lib/${name} imports ${target}`)
      }
    }
  })

  test('only endpoint types, and the files that build the server, know a protocol', () => {
    for (const { name, external } of files.filter((file) => PROTOCOL_FREE.has(floorOf(file.name)))) {
      for (const { from, typeOnly } of external) {
        assert.ok(typeOnly || !PROTOCOLS.test(from), `lib/${name} imports ${from} at run time`)
      }
    }
  })
})

describe('these rules themselves', () => {
  const source = (name: string, ...internal: string[]): Source => ({ name, text: '', internal, external: [] })

  test('see every kind of import', () => {
    const text = `import a from './a.ts'
import {
  b,
} from './b.ts'
import type { C } from './c.ts'
export { d } from './d.ts'
import './e.ts'
/** import x from './comment.ts' */
const f = await import('./f.ts')`
    assert.deepEqual(
      importsOf(text).map(({ from }) => from),
      ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts'],
    )
    assert.equal(importsOf(text)[2]?.typeOnly, true)
  })

  test('see a circle', () => {
    assert.equal(findCycle([source('a', 'b'), source('b', 'c', 'd'), source('c'), source('d', 'b')]), 'b -> d -> b')
    assert.equal(findCycle([source('a', 'b', 'c'), source('b', 'c'), source('c')]), undefined)
  })

  test('know which endpoint type a file belongs to', () => {
    assert.equal(endpointType('endpoints/mock.ts'), 'mock')
    assert.equal(endpointType('endpoints/websocket/turn.ts'), 'websocket')
    assert.equal(endpointType('endpoints/redis/connection.ts'), 'redis')
    assert.equal(endpointType('endpoints/redis/pubsub/glob.ts'), 'redis/pubsub')
    assert.equal(endpointType('endpoints/index.ts'), undefined)
    assert.equal(endpointType('endpoints/common/tls.ts'), undefined)
    assert.equal(endpointType('router.ts'), undefined)
  })
})

describe('the sources', () => {
  test(`no file has more than ${MAX_LINES} lines`, () => {
    const long = sources().filter(({ text }) => text.split('\n').length - 1 > MAX_LINES)
    assert.deepEqual(
      long.map(({ name }) => name),
      [],
    )
  })

  test('only the command writes to the console', () => {
    const writes = sources().filter(({ text }) =>
      /(?<![\w.])console\.(debug|dir|error|info|log|table|trace|warn)\(/.test(text),
    )
    assert.deepEqual(
      writes.map(({ name }) => name).filter((name) => name !== 'cli.ts' && !name.startsWith('cli/')),
      [],
    )
  })
})

describe('the documents', () => {
  test('CONTRIBUTING.md has a line for every npm script, and for no other', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const listed = [...read('CONTRIBUTING.md').matchAll(/^\| `npm (?:run )?([\w:]+)` \|/gm)].map(
      (match) => match[1] ?? '',
    )
    assert.deepEqual(listed.toSorted(), Object.keys(scripts).toSorted())
  })

  test('CONTRIBUTING.md has a place in its table of floors for everything at the top of lib, on its floor', () => {
    const [, table = ''] = /^## The house$[^]*?^```$([^]*?)^```$/m.exec(read('CONTRIBUTING.md')) ?? []
    const floors = new Map<string, number>()
    let floor = -1
    for (const line of table.split('\n')) {
      const [, digit, rest = ''] = /^ (\d)?\s+(.*)$/.exec(line) ?? []
      if (digit !== undefined) floor = Number(digit)
      for (const [name] of rest.matchAll(/(?<=^|\s)[a-z-]+(?:\.ts|\/)(?=\s|$)/g)) floors.set(name, floor)
    }
    const entries = readdirSync(join(ROOT, 'lib'), { withFileTypes: true })
    const top = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    const missing = top.filter((name) => !floors.has(name))
    const surplus = [...floors.keys()].filter((name) => !top.includes(name))
    assert.deepEqual({ missing, surplus }, { missing: [], surplus: [] })
    for (const [name, said] of floors) {
      const held = FLOORS.findIndex((names) => names.includes(name))
      assert.equal(said, held, `${name} is on floor ${held}`)
    }
  })

  test('docs/errors.md has a row for every error, with what to do and whether it may be tried again', () => {
    const table = read('docs', 'errors.md').matchAll(/^\| `(ARALDO_ERR_\w+)` \| [^|]+ \| [^|]+ \| (yes|no) \|$/gm)
    const documented = Array.from(table, (row) => `${row[1]} ${row[2]}`)
    const defined = (Object.keys(errors) as AraldoErrorName[]).map((name) => {
      const { code, retryable } = new errors[name]()
      return `${code} ${retryable ? 'yes' : 'no'}`
    })
    assert.equal(new Set(defined).size, defined.length)
    assert.equal(new Set(documented).size, documented.length)
    const missing = defined.filter((row) => !documented.includes(row))
    const surplus = documented.filter((row) => !defined.includes(row))
    assert.deepEqual({ missing, surplus }, { missing: [], surplus: [] })
  })

  test('the lock file names no registry', () => {
    const resolved = Object.entries(lockedPackages()).filter(([, { resolved: url }]) => url !== undefined)
    assert.deepEqual(resolved, [])
  })

  test('the lock file has the packages of every platform, so that npm ci works on each', () => {
    const locked = lockedPackages()
    for (const [path, { optionalDependencies = {} }] of Object.entries(locked)) {
      for (const name of Object.keys(optionalDependencies)) {
        const isLocked = `${path}/node_modules/${name}` in locked || `node_modules/${name}` in locked
        assert.ok(isLocked, `${path} may need ${name}, which is not in package-lock.json`)
      }
    }
  })
})

interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

function lockedPackages(): Record<string, LockedPackage> {
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> }
  return lock.packages
}
