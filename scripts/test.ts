/**
 * Runs the tests with node:test: all of them, or those that are named.
 *
 *     npm test
 *     npm test -- test/lane.test.ts
 *     npm test -- --test-name-pattern='stalled client'
 *
 * Node 20 does not expand patterns of files itself; later versions do.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** No test, and on Node 20 no test file, takes longer (milliseconds): one that hangs fails, and is named. */
const TIMEOUT = 180_000
/** Test files wait for brokers more than they compute. More at once than this make them late for one another. */
const CONCURRENCY = Math.min(4, Math.max(2, availableParallelism()))

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const given = process.argv.slice(2)
const flags = given.filter((argument) => argument.startsWith('-'))
const named = given.filter((argument) => !argument.startsWith('-'))
const files = named.length > 0 ? named : testFiles('test')

const args = [
  ...process.execArgv,
  '--test',
  '--test-reporter=spec',
  `--test-timeout=${TIMEOUT}`,
  `--test-concurrency=${CONCURRENCY}`,
  ...flags,
  ...files,
]
const child = spawn(process.execPath, args, { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.once('close', (code) => (process.exitCode = code ?? 1))

function testFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
    .toSorted()
}
