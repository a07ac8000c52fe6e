/**
 * Runs the tests with node:test: all of them, or those that are named.
 *
 *     npm test
 *     npm test -- test/delivery/lane.test.ts
 *     npm test -- --test-name-pattern='stalled client'
 *
 * With ARALDO_FAULTS=long (`npm run test:faults`) those of faults run, in their long form and one by one, and what they
 * measured is shown at the end.
 *
 * Node 20 does not expand patterns of files itself; later versions do.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const isLong = process.env.ARALDO_FAULTS === 'long'
/** Of the tests that have a long form. */
const LONG = new Set(['faults', 'interop', 'journal', 'model'])
/** No test, and on Node 20 no test file, takes longer (milliseconds): one that hangs fails, and is named. */
const TIMEOUT = isLong ? 900_000 : 240_000
/** Test files wait for brokers more than they compute. More at once than this make them late for one another. */
const CONCURRENCY = isLong ? 1 : Math.min(4, availableParallelism() + 1)

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
const folder = mkdtempSync(join(tmpdir(), 'araldo-figures-'))
/** A line for each test that has measured something. */
const figures = join(folder, 'figures.jsonl')
const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ARALDO_FIGURES: figures } })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
child.once('close', (code) => {
  process.exitCode = code ?? 1
  if (isLong) showFigures()
  rmSync(folder, { recursive: true })
})

function testFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && (!isLong || LONG.has(name.split(sep, 1)[0] as string)))
    .map((name) => join(root, name))
    .toSorted()
}

/** A table as the documents have it. */
function showFigures(): void {
  console.log('\n| test | figures |\n| --- | --- |')
  let lines: string[] = []
  try {
    lines = readFileSync(figures, 'utf8').trimEnd().split('\n')
  } catch {
    // No test has measured anything.
  }
  for (const line of lines) {
    const { test, figures: measured } = JSON.parse(line) as { test: string; figures: Record<string, unknown> }
    const words = Object.entries(measured).map(([name, value]) => `${name}: ${String(value)}`)
    console.log(`| ${test} | ${words.join('; ')} |`)
  }
}
