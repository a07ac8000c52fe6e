/** Floor 6. `araldo check`: what a valid config declares, as tables. */
import Fastify from 'fastify'
import { type Config, formatDiagnostic, type LaneConfig, loadConfig } from '../config.ts'
import araldo, { createRegistries } from '../plugin.ts'
import type { SourceCapabilities, TargetCapabilities } from '../types.ts'

export interface CheckResult {
  /** A line each; empty if there are none. */
  readonly warnings: string
  readonly tables: string
}

/**
 * @param path of the config.
 * @throws ConfigError, or what else kept the relay from being built.
 */
export async function check(path: string): Promise<CheckResult> {
  const config = await loadConfig(path, createRegistries())
  await build(config)
  return {
    warnings: config.warnings.map((warning) => `${formatDiagnostic(warning)}\n`).join(''),
    tables: describe(config),
  }
}

/** Builds the relay and starts nothing: what only shows then is found too, such as two endpoints at one path. */
async function build(config: Config): Promise<void> {
  const fastify = Fastify()
  try {
    await fastify.register(araldo, { config })
  } finally {
    await fastify.close()
  }
}

/** The endpoints, routes and capabilities of a config, for people. */
function describe(config: Config): string {
  const endpoints = config.endpoints.map(({ name, type, marshalling, options }) => {
    const { source, target } = type.capabilities(options)
    return [name, type.id, marshalling ?? '(json)', capabilityList(source), capabilityList(target)]
  })
  const routes = config.routes.flatMap(({ source, lanes }) =>
    lanes.map((lane) => [source, '→', lane.to, deliveryOf(lane), stepList(lane)]),
  )
  const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
  return [
    `${config.file ?? 'The config'} is valid: ${count(endpoints.length, 'endpoint')}, ${count(routes.length, 'lane')}.`,
    '',
    table(['ENDPOINT', 'TYPE', 'MARSHALLING', 'AS A SOURCE', 'AS A TARGET'], endpoints),
    '',
    table(['ROUTE', '', 'TARGET', 'DELIVERY', 'STEPS'], routes),
    '',
  ].join('\n')
}

/** `topics, headers`; `yes` where it has none of the extras, `-` where it is not this end at all. */
function capabilityList(capabilities: SourceCapabilities | TargetCapabilities | null): string {
  if (capabilities === null) return '-'
  const names = Object.entries(capabilities).flatMap(([name, has]) => (has === true ? [name] : []))
  return names.length === 0 ? 'yes' : names.join(', ')
}

/** `at least once, block, dead letters to graveyard` */
function deliveryOf({ delivery: { guarantee, overflow, deadLetter, durable } }: LaneConfig): string {
  const promise = guarantee.replaceAll('-', ' ')
  const words = [durable === undefined ? promise : `${promise} from acceptance on (durable)`, overflow]
  if (deadLetter !== undefined) words.push(`dead letters to ${deadLetter}`)
  return words.join(', ')
}

function stepList({ steps, optional, wiretap }: LaneConfig): string {
  const words: string[] = steps.map(({ name }) => name)
  if (optional) words.push(wiretap ? '(wiretap)' : '(optional)')
  return words.join(', ') || '-'
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] as number))
      .join('  ')
      .trimEnd()
  return [head, ...rows].map(line).join('\n')
}
