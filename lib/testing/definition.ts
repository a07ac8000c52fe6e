/** Floor 6. Checks of an endpoint type as it stands in its module, before anything runs. */
import { isDeepStrictEqual } from 'node:util'
import { loadConfig } from '../config.ts'
import type { EndpointType } from '../endpoint.ts'
import { reasonOf } from '../errors.ts'
import { createRegistries } from '../plugin.ts'
import type { Capabilities } from '../types.ts'
import type { Check } from './check.ts'
import { expect, fail } from './expect.ts'

const SOURCE = ['ack', 'pause', 'replay', 'headers', 'topics']
const TARGET = ['confirm', 'headers', 'topics', 'echo']
const UNKNOWN_OPTION = 'no-such-option'

export const definitionChecks: readonly Check[] = [
  { name: 'has an id, a schema and a plugin', started: false, run: async ({ type }) => checkShape(type) },
  { name: 'describes each of its options', started: false, run: async ({ type }) => checkDescriptions(type) },
  {
    name: 'refuses an option that it does not know, by its name',
    started: false,
    run: async ({ type, subject }) => {
      const declared = { ...subject.peer.options, [UNKNOWN_OPTION]: 1, name: 'subject', id: type.id }
      let error: unknown
      try {
        await loadConfig({ plugins: { 'araldo.endpoints.endpoint': [declared] } }, createRegistries([type]))
      } catch (thrown) {
        error = thrown
      }
      expect(
        error !== undefined,
        `the config was accepted with '${UNKNOWN_OPTION}: 1': list every option in the schema`,
      )
      expect(
        reasonOf(error).includes(UNKNOWN_OPTION),
        `the config was refused, but not for '${UNKNOWN_OPTION}': ${reasonOf(error)}`,
      )
    },
  },
  {
    name: 'declares the same capabilities whenever it is asked, and changes nothing by it',
    started: false,
    run: async ({ type, subject: { endpoint } }) => {
      const options = Object.freeze(structuredClone(endpoint.options))
      const first = type.capabilities(options)
      checkCapabilities(first)
      expect(
        isDeepStrictEqual(type.capabilities(options), first) && isDeepStrictEqual(endpoint.capabilities, first),
        'capabilities() gave different answers for the same options: it must depend on them alone',
      )
      const issues = [...(type.check?.(options) ?? [])]
      expect(
        issues.length === 0,
        `check() has objections to the options of the peer: ${issues.map(({ message }) => message).join('; ')}`,
      )
    },
  },
  {
    name: 'can do what it declares: a target sends, what is no target does not',
    started: false,
    run: async ({ subject: { sends, isTarget } }) => {
      expect(sends || !isTarget, 'capabilities() declares a target, but the class has no send()')
      expect(!sends || isTarget, 'the class has a send(), but capabilities() declares no target')
    },
  },
]

function checkShape(type: EndpointType): void {
  const { id, schema, description } = type
  expect(
    /^endpoint-[a-z0-9]+(-[a-z0-9]+)*$/.test(id),
    `the id is '${id}': it is what a config names, 'endpoint-' and then small letters, digits and hyphens`,
  )
  expect(
    description !== undefined && description.length > 0,
    "the type has no 'description': one sentence, which documentation and editors show",
  )
  expect(schema['type'] === 'object', `the schema's type is ${String(schema['type'])}: options are an object`)
  expect(
    typeof schema['properties'] === 'object',
    "the schema has no 'properties': an option that is not among them is refused; {} where there are none",
  )
  expect(typeof type.plugin === 'function', "the type has no 'plugin': an async function that attaches its endpoint")
}

function checkDescriptions({ schema }: EndpointType): void {
  for (const [name, option] of Object.entries(schema['properties'] as Record<string, { description?: unknown }>)) {
    expect(
      typeof option.description === 'string',
      `the option '${name}' has no 'description': editors and 'araldo schema' show it`,
    )
  }
}

function checkCapabilities({ source, target }: Capabilities): void {
  if (source === null && target === null) fail('capabilities() declares neither a source nor a target')
  checkFlags('source', source, SOURCE)
  checkFlags('target', target, TARGET, ['pipelined', 'clients', 'shared'])
}

function checkFlags(
  end: string,
  capabilities: object | null,
  names: readonly string[],
  optional: readonly string[] = [],
): void {
  if (capabilities === null) return
  const flags = new Map(Object.entries(capabilities))
  for (const name of [...names, ...optional.filter((each) => flags.has(each))]) {
    expect(
      typeof flags.get(name) === 'boolean',
      `capabilities().${end}.${name} is ${String(flags.get(name))}: it is true or false`,
    )
  }
  for (const name of flags.keys()) {
    expect(
      names.includes(name) || optional.includes(name),
      `capabilities().${end} has '${name}', which nobody reads; there are ${[...names, ...optional].join(', ')}`,
    )
  }
}
