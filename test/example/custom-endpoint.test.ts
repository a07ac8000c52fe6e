import assert from 'node:assert/strict'
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { connect } from '../support/client.ts'
import { run, startProcess, temporaryFolder } from '../support/process.ts'
import { until } from '../support/wait.ts'

const FOLDER = 'example/custom-endpoint'

/** The example, as its first lines say to run it, on files of this test's own. */
async function start(t: Parameters<typeof connect>[1] & object, log: string, errors: string) {
  const child = await startProcess({
    command: process.execPath,
    args: ['dist/cli.js', '-c', `${FOLDER}/araldo.yaml`],
    env: { LOG: log, ERRORS: errors, PORT: '0' },
    ready: /listening at http/,
    ...(t.t === undefined ? {} : { t: t.t }),
  })
  const [, host = ''] = await child.line(/listening at http:\/\/([^"\s]+)/)
  return { child, client: await connect(`ws://${host}/log`, t) }
}

describe('example/custom-endpoint', () => {
  it('is an endpoint type in fewer than 100 lines', async () => {
    const lines = (await readFile(`${FOLDER}/tail-endpoint.js`, 'utf8')).trimEnd().split('\n')
    assert.ok(lines.length < 100, `it has ${lines.length}`)
  })

  it('passes the suite that every type passes, with nothing but node', async () => {
    // Without the variable by which node's test runner knows its own children: this one reports for itself.
    const env = { NODE_TEST_CONTEXT: undefined }
    const args = ['--test', '--test-reporter=tap', `${FOLDER}/tail-endpoint.test.js`]
    const { code, stdout, stderr } = await run(process.execPath, args, { env, timeout: 60_000 })
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /^# fail 0$/m)
    assert.match(stdout, /^# pass 3\d$/m)
  })

  it('shows new lines of a file to browsers, and keeps those with an error, through rotation and truncation', async (t) => {
    const folder = temporaryFolder('tail')
    const [log, errors] = [join(folder, 'app.log'), join(folder, 'errors.log')]
    await writeFile(log, 'old\n')
    const { child, client } = await start({ t }, log, errors)
    await appendFile(log, 'one\ntwo: an err')
    await appendFile(log, 'or\n')
    assert.deepEqual(await client.take(2), ['one', 'two: an error'])

    await appendFile(log, 'three, last of this file\n')
    await rename(log, `${log}.1`)
    await writeFile(log, 'four: new\n')
    assert.deepEqual(await client.take(2), ['three, last of this file', 'four: new'])

    await truncate(log)
    // The first time was the rotation.
    await until(() => child.stdout.split('was cut off').length === 3, { message: 'the truncation to be noticed' })
    await appendFile(log, 'five: error again\n')
    assert.deepEqual(await client.take(1), ['five: error again'])
    await until(async () => (await readFile(errors, 'utf8')) === 'two: an error\nfive: error again\n', {
      message: 'the errors to be written',
    })
    assert.deepEqual(await child.stop(), { code: 0, signal: null })
  })

  it('waits for a file that is not there yet, and shows all of it', async (t) => {
    const folder = temporaryFolder('tail')
    const log = join(folder, 'app.log')
    const { client } = await start({ t }, log, join(folder, 'errors.log'))
    await writeFile(log, 'first\nsecond\n')
    assert.deepEqual(await client.take(2), ['first', 'second'])
  })

  it('leaves lines out that are too long', async (t) => {
    const folder = temporaryFolder('tail')
    const log = join(folder, 'app.log')
    await writeFile(log, '')
    const { client } = await start({ t }, log, join(folder, 'errors.log'))
    await appendFile(log, `${'x'.repeat(200_000)}\nshort\n`)
    assert.deepEqual(await client.take(1), ['short'])
  })
})

describe('docs/writing-an-endpoint.md', () => {
  /** The blocks that say where they are from: `<!-- path -->`, and then the code. */
  const marked = /^<!-- (\S+) -->\n```\w+\n(.*?)^```$/gms

  it('shows code that is there, line by line; … stands for lines that are left out', async () => {
    const guide = await readFile('docs/writing-an-endpoint.md', 'utf8')
    const blocks = Array.from(guide.matchAll(marked), ([, path = '', code = '']) => ({ path, code }))
    assert.ok(blocks.length >= 10)
    for (const { path, code } of blocks) {
      let rest = await readFile(path, 'utf8')
      for (const part of code.split(/^ *…\n/m)) {
        const at = rest.indexOf(part)
        assert.notEqual(at, -1, `${path} does not have, or not there:\n${part}`)
        rest = rest.slice(at + part.length)
      }
    }
  })

  it('tells the truth about how long the example is', async () => {
    const lines = (await readFile(`${FOLDER}/tail-endpoint.js`, 'utf8')).trimEnd().split('\n').length
    assert.match(await readFile('docs/writing-an-endpoint.md', 'utf8'), new RegExp(`in ${lines} lines of JavaScript`))
  })
})
