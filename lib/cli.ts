#!/usr/bin/env node
/**
 * Floor 6. The command `araldo`. Exit codes: 0 as asked, 1 it could not be done, 2 the command line makes no sense.
 * `araldo diff` has those of diff(1): 0 no difference, 1 differences, 2 trouble.
 */
import { readFile } from 'node:fs/promises'
import module from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { type Arguments, parseArguments, USAGE } from './cli/arguments.ts'
import { UsageError } from './cli/usage.ts'
import { reasonOf } from './errors.ts'

// Node 22 and later keep what they have compiled for the next start. The rest is loaded when it is needed.
;(module as { enableCompileCache?: () => void }).enableCompileCache?.()
// V8 sees that messages often live until it collects what is young, and then makes parts of them in its old generation:
// there each keeps the rest of its message until all is collected, which costs several times as much.
setFlagsFromString('--no-allocation-site-pretenuring')

async function main(argv: readonly string[]): Promise<number> {
  let asked: Arguments | undefined
  try {
    asked = parseArguments(argv)
    return await perform(asked)
  } catch (error) {
    if (error instanceof UsageError) {
      // Last, where it is seen: the usage is longer than some terminals.
      process.stderr.write(`${USAGE}\naraldo: ${error.message}\n`)
      return 2
    }
    // The errors of a config name their own places.
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    process.stderr.write(`${code === 'ARALDO_ERR_CONFIG' ? '' : 'araldo: '}${reasonOf(error)}\n`)
    return asked?.kind === 'diff' ? 2 : 1
  }
}

/** @returns the exit code. */
async function perform(asked: Arguments): Promise<number> {
  switch (asked.kind) {
    case 'help':
      process.stdout.write(USAGE)
      return 0
    case 'version':
      process.stdout.write(`${await version()}\n`)
      return 0
    case 'schema': {
      const { schema } = await import('./cli/schema.ts')
      process.stdout.write(`${JSON.stringify(await schema(process.cwd()), null, 2)}\n`)
      return 0
    }
    case 'check': {
      const { check } = await import('./cli/check.ts')
      const { warnings, tables } = await check(asked.config)
      process.stderr.write(warnings)
      process.stdout.write(tables)
      return 0
    }
    case 'dlq': {
      const { deadLetters } = await import('./cli/dlq/index.ts')
      return deadLetters(asked, process.stdout)
    }
    case 'diff': {
      const { diff } = await import('./cli/diff.ts')
      const lines = await diff(asked.before, asked.after)
      for (const line of lines) process.stdout.write(`${line}\n`)
      return lines.length === 0 ? 0 : 1
    }
    default: {
      const { run } = await import('./cli/run.ts')
      await run(asked.config)
      return 0
    }
  }
}

async function version(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return manifest.version
}

/** Who reads may leave (`| head -1`), and a disk may be full: what runs goes on without, what only prints has failed. */
function onOutputError({ code, message }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE' || outputFailed) return
  outputFailed = true
  process.exitCode = 1
  process.stderr.write(`araldo: the output cannot be written: ${message}\n`)
}

let outputFailed = false
process.stdout.on('error', onOutputError)
// There is nowhere left to say so.
process.stderr.on('error', () => {})

const exitCode = await main(process.argv.slice(2))
process.exitCode = outputFailed ? 1 : exitCode
