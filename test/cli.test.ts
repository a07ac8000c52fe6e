import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import manifest from '../package.json' with { type: 'json' }
import { araldo, CLI, configFolder, startAraldo } from './support/araldo.ts'
import { connect } from './support/client.ts'
import { accepts, freePort } from './support/port.ts'
import { run, startProcess, temporaryFolder } from './support/process.ts'
import { need } from './support/require.ts'
import { until } from './support/wait.ts'

const CHAT = `
global:
  server-port: 0
plugins:
  araldo.endpoints.endpoint:
    - { name: browsers, id: endpoint-websocket, path: /ws }
    - { name: kept, id: endpoint-mock }
routes:
  browsers: [browsers, kept]
`

/** The sample of the original's manual, set out as YAML. */
const MANUAL = `global:
    server-port: 0
    log-level: debug
plugins:
  araldo.marshalling:
    - name: marshal-json
      id: marshal-json
  araldo.endpoints.endpoint:
    - name: mock_1
      id: endpoint-mock
      channel: channel_1
    - name: redis_2
      id: endpoint-mock
      channel: channel_2
    - name: redis_3
      id: endpoint-mock
      channel: channel 3
routes:
  redis_1:
    - redis_2
    - redis_3
`

/** For a test's `skip`: where there is no device that is always full. */
function needFullDisk(): string | false {
  return existsSync('/dev/full') ? false : 'there is no /dev/full here'
}

/** For a test's `skip`: whether everybody may listen on every port here, as in many containers. */
function needForbiddenPort(): string | false {
  try {
    const first = readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')
    return Number(first) > 1 ? false : 'every port is permitted to everybody here'
  } catch {
    return false
  }
}

describe('the command line', () => {
  test('--help and -h say how it is used', async () => {
    for (const flag of ['--help', '-h']) {
      const { code, stdout } = await araldo([flag])
      assert.equal(code, 0)
      assert.match(stdout, /araldo \[-c PATH\]/)
    }
  })

  test("--version prints the package's version", async () => {
    const { code, stdout } = await araldo(['--version'])
    assert.deepEqual([code, stdout], [0, `${manifest.version}\n`])
  })

  test('what makes no sense is answered with the usage and exit code 2', async () => {
    for (const [args, message] of [
      [['--nonsense'], /Unknown option '--nonsense'/],
      [['-c'], /argument missing/],
      [['serve'], /no command is named 'serve'/],
      [['araldo.yaml'], /a config is named with -c: araldo -c araldo.yaml/],
      [['check', 'araldo.yaml'], /a config is named with -c: araldo check -c araldo.yaml/],
      [['check', 'more'], /'more' is one argument too many/],
    ] as const) {
      const { code, stderr } = await araldo(args)
      assert.equal(code, 2, args.join(' '))
      assert.match(stderr, message)
      assert.match(stderr, /Usage/)
    }
  })

  test('schema prints a JSON Schema that knows every built-in type', async () => {
    const { code, stdout } = await araldo(['schema'], { cwd: temporaryFolder() })
    assert.equal(code, 0)
    const text = JSON.stringify(JSON.parse(stdout))
    for (const id of ['endpoint-mock', 'endpoint-app', 'endpoint-websocket', 'endpoint-redis', 'marshal-json']) {
      assert.ok(text.includes(`"${id}"`), id)
    }
  })

  test('check prints endpoints, routes and capabilities', async () => {
    const { code, stdout } = await araldo(['check'], { cwd: await configFolder(CHAT) })
    assert.equal(code, 0)
    assert.match(stdout, /is valid: 2 endpoints, 2 lanes/)
    assert.match(stdout, /browsers +endpoint-websocket +\(json\)/)
    assert.match(stdout, /browsers +→ +kept +at most once/)
  })

  test('check finds what shows only when the relay is built', async () => {
    const yaml = CHAT.replace('{ name: kept, id: endpoint-mock }', '{ name: kept, id: endpoint-websocket, path: /ws }')
    const { code, stderr, stdout } = await araldo(['check'], { cwd: await configFolder(yaml) })
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /endpoint 'kept': path: .*\/ws.*another path/)
  })

  test('-c PATH and --config=PATH name the config', async () => {
    const folder = await configFolder(CHAT)
    for (const args of [['-c', 'araldo.yaml'], ['--config=araldo.yaml'], ['-c', join(folder, 'araldo.yaml')]]) {
      assert.equal((await araldo(['check', ...args], { cwd: folder })).code, 0)
    }
  })
})

describe("the manual's own sample", () => {
  test('is refused with one error, at its line and with the nearest name, and one warning', async () => {
    const { code, stderr } = await araldo([], { cwd: await configFolder(MANUAL) })
    assert.equal(code, 1)
    const lines = stderr.trim().split('\n')
    assert.equal(lines.filter((line) => line.includes('error:')).length, 1, stderr)
    assert.equal(lines.filter((line) => line.includes('warning:')).length, 1, stderr)
    assert.match(stderr, /araldo\.yaml:19:3: error: .*redis_1.*did you mean 'redis_2'/)
    assert.match(stderr, /warning: .*mock_1/)
  })

  test("runs with mock_1 as the route's key", async (t) => {
    const { process: relay } = await startAraldo(MANUAL.replace('redis_1:', 'mock_1:'), { t })
    assert.equal((await relay.stop('SIGTERM')).code, 0)
  })
})

describe('a bad config ends it with exit code 1 and says where and what', () => {
  const valid = CHAT.trimStart()
  const cases: Record<string, [yaml: string, message: RegExp]> = {
    'not YAML': ['global: [unclosed\n', /araldo\.yaml:\d+:\d+: error/],
    empty: ['', /empty/],
    'a list': ['- a\n- b\n', /araldo\.yaml:1:1: error: .*list/],
    'duplicate keys': [`${valid}routes: {}\n`, /araldo\.yaml:9:1: error: .*duplicate/i],
    'an unknown key at the top': [`${valid}route: {}\n`, /araldo\.yaml:9:1: error: .*'route'.*did you mean 'routes'/],
    'an unknown global key': [valid.replace('server-port', 'sever-port'), /:2:3: error: .*did you mean 'server-port'/],
    'an unknown plugin category': [
      valid.replace('araldo.endpoints.endpoint', 'araldo.endpoint'),
      /did you mean 'araldo\.endpoints\.endpoint'/,
    ],
    'an unknown endpoint key': [valid.replace('path:', 'pth:'), /endpoint 'browsers'.*did you mean 'path'/],
    'a wrong type': [valid.replace('path: /ws', 'path: [1]'), /endpoint 'browsers': path/],
    'a port out of range': [valid.replace('server-port: 0', 'server-port: 65536'), /server-port.*65535/],
    'an unknown id': [valid.replace('endpoint-mock', 'endpoint-mok'), /did you mean 'endpoint-mock'/],
    'duplicate names': [valid.replace('name: kept', 'name: browsers'), /browsers/],
    'a route to nowhere': [valid.replace(', kept]', ', kpt]'), /did you mean 'kept'/],
    'a route from no source': [
      valid
        .replace('{ name: kept, id: endpoint-mock }', '{ name: kept, id: endpoint-redis, topic: t }')
        .replace('kept]', 'kept]\n  kept: [browsers]'),
      /:9:3: error: route 'kept': endpoint 'kept' of type endpoint-redis is no source/,
    ],
    'a route to no target': [
      valid.replace('{ name: kept, id: endpoint-mock }', '{ name: kept, id: endpoint-redis, pattern: t }'),
      /:8:\d+: error: route 'browsers' → 'kept': endpoint 'kept' of type endpoint-redis is no target/,
    ],
    'a missing variable': [
      valid.replace('/ws', '${NO_SUCH_VARIABLE}'),
      /araldo\.yaml:5:\d+: error: .*NO_SUCH_VARIABLE/,
    ],
    '__proto__ keys': [`${valid}__proto__: { a: 1 }\n`, /araldo\.yaml:9:1: error: .*__proto__/],
    'an alias bomb': [
      `a: &a [x, x]\n${Array.from({ length: 12 }, (_, i) => `k${i}: &k${i} [${`*${i === 0 ? 'a' : `k${i - 1}`},`.repeat(10)}]`).join('\n')}\n`,
      /alias/i,
    ],
    '5 MiB': [`# ${'x'.repeat(5 * 1024 * 1024)}\n${valid}`, /1 MiB|too large|1048576/i],
  }
  for (const [name, [yaml, message]] of Object.entries(cases)) {
    test(name, async () => {
      const { code, stderr, stdout } = await araldo([], { cwd: await configFolder(yaml) })
      assert.equal(code, 1, stderr + stdout)
      assert.match(stderr, message)
      assert.doesNotMatch(stderr, /\n\s+at /, 'no stack')
    })
  }

  test('no file', async () => {
    const { code, stderr } = await araldo([], { cwd: temporaryFolder() })
    assert.equal(code, 1)
    assert.match(stderr, /araldo\.yaml/)
  })

  test('a folder in place of a file', async () => {
    const folder = temporaryFolder()
    await mkdir(join(folder, 'araldo.yaml'))
    assert.equal((await araldo([], { cwd: folder })).code, 1)
  })

  test('an unreadable file', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'araldo.yaml')
    await writeFile(path, CHAT)
    await chmod(path, 0o000)
    const { code, stderr } = await araldo(['-c', path], { unprivileged: true })
    assert.equal(code, 1)
    assert.match(stderr, /permission/i)
  })
})

describe('the running command', () => {
  test('carries messages between browsers, and ends with 0 on SIGTERM and SIGINT, closing them with 1001', async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const relay = await startAraldo(CHAT, { t })
      const [one, two] = [await connect(`ws://${relay.host}/ws`), await connect(`ws://${relay.host}/ws`)]
      await one.send({ hello: signal })
      assert.deepEqual(await two.nextJson(), { hello: signal })
      assert.equal((await relay.process.stop(signal)).code, 0)
      assert.equal((await one.closed).code, 1001)
      assert.equal((await two.closed).code, 1001)
    }
  })

  test('a second signal ends it at once', async (t) => {
    const slow = CHAT.replace('server-port: 0', 'server-port: 0\n  shutdown-timeout: 60s')
    const relay = await startAraldo(slow, { t })
    // It does not answer the close frame, which the relay waits for.
    const stalled = await connect(`ws://${relay.host}/ws`, { t })
    stalled.pause()
    relay.process.signal('SIGTERM')
    await relay.process.line(/"signal":"SIGTERM"/)
    relay.process.signal('SIGTERM')
    assert.equal((await relay.process.exited).code, 1)
  })

  test('writes JSON lines, of the level that the config says', async (t) => {
    const relay = await startAraldo(CHAT.replace('server-port: 0', 'server-port: 0\n  log-level: debug'), { t })
    const client = await connect(`ws://${relay.host}/ws`, { t })
    await client.send({ a: 1 })
    await until(() => relay.log().some((line) => line['msg'] === 'sent to the mock'))
    const levels = new Set(relay.log().map((line) => line['level']))
    assert.ok(levels.has(20) && levels.has(30), [...levels].join())
  })

  test('writes nothing below the level that the config says', async (t) => {
    const port = await freePort()
    const cwd = await configFolder(CHAT.replace('server-port: 0', `server-port: ${port}\n  log-level: warning`))
    const listens = (): Promise<boolean> => accepts(port)
    const relay = await startProcess({ command: process.execPath, args: [CLI], cwd, t, ready: listens })
    assert.equal((await relay.stop('SIGTERM')).code, 0)
    assert.equal(relay.stdout, '')
  })

  test('writes lines for people on a terminal, and ends with it', { skip: need('script') }, async (t) => {
    const cwd = await configFolder(CHAT)
    const args = ['-qec', `echo "pid $$" && exec '${process.execPath}' '${CLI}'`, '/dev/null']
    const terminal = await startProcess({ command: 'script', args, cwd, t, ready: /listening at http/ })
    const text = stripVTControlCharacters(terminal.stdout)
    assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: up \{.*"browsers".*\}\r?$/m)
    assert.doesNotMatch(text, /"level"/)

    const pid = Number(/^pid (\d+)/m.exec(text)?.[1])
    await terminal.kill()
    await until(() => !existsSync(`/proc/${pid}`), { message: 'the relay to end with its terminal' })
  })

  test('a port that is not permitted is one clear line and exit code 1', { skip: needForbiddenPort() }, async () => {
    const cwd = await configFolder(CHAT.replace('server-port: 0', 'server-port: 1'))
    const path = join(cwd, 'araldo.yaml')
    const { code, stderr } = await araldo(['-c', path], { unprivileged: true })
    assert.equal(code, 1)
    assert.match(stderr, /^araldo: cannot listen on 127\.0\.0\.1:1: no permission; .*\n$/)
  })

  test(
    'a full disk under the log keeps it neither from running nor from ending',
    { skip: needFullDisk() },
    async (t) => {
      const port = await freePort()
      const folder = await configFolder(CHAT.replace('server-port: 0', `server-port: ${port}`))
      const relay = await startProcess({
        command: 'sh',
        args: ['-c', `exec "${process.execPath}" "${CLI}" > /dev/full`],
        cwd: folder,
        ready: async () => (await fetch(`http://127.0.0.1:${port}/health/live`).catch(() => undefined))?.ok === true,
        t,
      })
      assert.equal((await relay.stop('SIGTERM')).code, 0)
      assert.match(relay.stderr, /^araldo: the output cannot be written: .*no space.*\n$/)
    },
  )

  test('who reads its output may leave', async () => {
    const { stderr } = await run('sh', ['-c', `"${process.execPath}" "${CLI}" --help | true`])
    assert.equal(stderr, '')
  })

  test('a port that is taken is one clear line and exit code 1', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    t.after(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const cwd = await configFolder(CHAT.replace('server-port: 0', `server-port: ${port}`))
    const { code, stderr } = await araldo([], { cwd })
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`^araldo: cannot listen on 127\\.0\\.0\\.1:${port}: the port is taken.*\\n$`))
  })

  test('an address that this machine does not have is one clear line and exit code 1', async () => {
    const cwd = await configFolder(CHAT.replace('server-port: 0', 'server-port: 0\n  server-host: 203.0.113.7'))
    const { code, stderr } = await araldo([], { cwd })
    assert.equal(code, 1)
    assert.match(stderr, /^araldo: cannot listen on 203\.0\.113\.7:0: .*server-host\n$/)
  })
})
