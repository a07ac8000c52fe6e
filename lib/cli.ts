#!/usr/bin/env node
/** Floor 6. The command `araldo`. Exit codes: 0 as asked, 1 it could not be done, 2 the command line makes no sense. */
import { readFile } from 'node:fs/promises'
import { configSchema } from './schema.ts'
import { describe, verify } from './cli/check.ts'
import { type Arguments, parseArguments, USAGE, UsageError } from './cli/arguments.ts'
import { run } from './cli/run.ts'
import { type Config, ConfigError, formatDiagnostic, loadConfig } from './config.ts'
import { discoverTypes } from './discovery.ts'
import { reasonOf } from './errors.ts'
import { createRegistries } from './plugin.ts'
import type { JsonSchema } from './types.ts'

async function main(argv: readonly string[]): Promise<number> {
  try {
    await perform(parseArguments(argv))
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`araldo: ${error.message}\n\n${USAGE}`)
      return 2
    }
    process.stderr.write(error instanceof ConfigError ? `${error.message}\n` : `araldo: ${reasonOf(error)}\n`)
    return 1
  }
}

async function perform(asked: Arguments): Promise<void> {
  switch (asked.kind) {
    case 'help':
      process.stdout.write(USAGE)
      return
    case 'version':
      process.stdout.write(`${await version()}\n`)
      return
    case 'schema':
      process.stdout.write(`${JSON.stringify(await schema(), null, 2)}\n`)
      return
    case 'check': {
      const config = await load(asked.config)
      await verify(config)
      process.stdout.write(describe(config))
      return
    }
    case 'run':
      await run(await loadConfig(asked.config, createRegistries()))
  }
}

/** Loads the config and prints its warnings. */
async function load(path: string): Promise<Config> {
  const config = await loadConfig(path, createRegistries())
  for (const warning of config.warnings) process.stderr.write(`${formatDiagnostic(warning)}\n`)
  return config
}

/** Of the types that are built in and those that packages of the current folder bring. */
async function schema(): Promise<JsonSchema> {
  const registries = createRegistries()
  await discoverTypes(process.cwd(), registries)
  return configSchema(registries)
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
