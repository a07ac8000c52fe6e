/** Floor 6. `araldo dlq`: dead letters that a Redis stream keeps: what there is, why, and another try. */
import type { Writable } from 'node:stream'
import { type Config, type EndpointConfig, loadConfig } from '../../config.ts'
import { endpointRedisStream } from '../../endpoints/redis/stream/index.ts'
import { type Letter, LetterStore } from '../../endpoints/redis/stream/letters.ts'
import type { StreamOptions } from '../../endpoints/redis/stream/options.ts'
import { errors } from '../../errors.ts'
import { createRegistries } from '../../plugin.ts'
import type { DeadLetterArguments, LetterFilter } from './arguments.ts'
import { HEAD, letterJson, letterRow, letterText, table } from './print.ts'
import { replay } from './replay.ts'

/**
 * @returns the exit code: 0 as asked; 1 where a letter could not be delivered.
 * @throws ConfigError, or what kept it from reading the letters; the message is for people.
 */
export async function deadLetters(asked: DeadLetterArguments & { config: string }, out: Writable): Promise<number> {
  const config = await loadConfig(asked.config, createRegistries())
  const { name, options } = endpointOf(config, asked.endpoint)
  const store = await LetterStore.open(options as StreamOptions, config.directory)
  try {
    if (asked.action === 'ls') {
      await list(store, asked, out)
      return 0
    }
    if (asked.action === 'show') {
      const [letter] = await chosen(store, asked.ids)
      out.write(asked.json ? letterJson(letter as Letter) : letterText(letter as Letter))
      return 0
    }
    const letters = asked.ids.length > 0 ? await chosen(store, asked.ids) : filtered(store, asked)
    return await replay({ config, letters, to: asked.to, dryRun: asked.dryRun, from: name, store, out })
  } finally {
    await store.close()
  }
}

/** The endpoint whose stream is asked for. */
function endpointOf(config: Config, name: string | undefined): EndpointConfig {
  const streams = config.endpoints.filter(({ type }) => type.id === endpointRedisStream.id)
  const used = new Set(config.routes.flatMap(({ lanes }) => lanes.map(({ delivery }) => delivery.deadLetter)))
  const found =
    name === undefined ? streams.filter((each) => used.has(each.name)) : streams.filter((each) => each.name === name)
  const [endpoint] = found
  if (endpoint !== undefined && found.length === 1) return endpoint
  const names = streams.map((each) => each.name).join(', ')
  const there = streams.length === 0 ? 'the config declares none' : `there are ${names}`
  if (name !== undefined) throw new errors.CONFIG(`no ${endpointRedisStream.id} is named '${name}'; ${there}`)
  const why =
    found.length === 0 ? 'no lane has its dead letters in a Redis stream' : 'several streams keep dead letters'
  throw new errors.CONFIG(`${why}: name the endpoint (${there})`)
}

/** @throws ARALDO_ERR_CONFIG that names the first that is not there, or is no dead letter. */
async function chosen(store: LetterStore, ids: readonly string[]): Promise<Letter[]> {
  const letters = await store.get(ids)
  const other = letters.find((letter) => !isDeadLetter(letter))
  if (other !== undefined)
    throw new errors.CONFIG(`'${other.entry}' is no dead letter, but a message of the stream's own`)
  return letters
}

/** Oldest first. */
async function* filtered(
  store: LetterStore,
  { filter, limit = Infinity }: Pick<DeadLetterArguments, 'filter' | 'limit'>,
): AsyncGenerator<Letter> {
  let left = limit
  for await (const letter of store.list()) {
    if (!passes(letter, filter)) continue
    yield letter
    if (--left === 0) return
  }
}

/** What is in the stream beside them, its own messages perhaps, is none of this command's. */
function isDeadLetter({ headers }: Letter): boolean {
  return headers['araldo-error-code'] !== undefined && headers['araldo-target'] !== undefined
}

function passes(letter: Letter, { route, target, code }: LetterFilter): boolean {
  if (!isDeadLetter(letter)) return false
  const { headers } = letter
  const is = (name: string, value: string | undefined): boolean => value === undefined || headers[name] === value
  return is('araldo-route', route) && is('araldo-target', target) && is('araldo-error-code', code)
}

async function list(store: LetterStore, asked: DeadLetterArguments, out: Writable): Promise<void> {
  const rows: string[][] = []
  for await (const letter of filtered(store, asked)) {
    if (asked.json) out.write(letterJson(letter))
    else rows.push(letterRow(letter))
  }
  if (asked.json) return
  const count = await store.count()
  out.write(rows.length === 0 ? '' : `${table([HEAD, ...rows])}\n`)
  out.write(`${rows.length} shown; the stream has ${count} ${count === 1 ? 'entry' : 'entries'}\n`)
}
