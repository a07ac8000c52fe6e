/** Floor 1. What each step takes in a lane's config: for checking parameters, and for editors. */
import type { JsonSchema } from '../types.ts'
import { duration } from './quantity.ts'

const EXPRESSION: JsonSchema = { type: ['string', 'boolean', 'number'] }

/** Elements of a list that a `split` makes messages of, if its config does not say. */
const MAX_PARTS = 10_000

/** Parameters of the steps that have several, but for those that are expressions. Each has a short form for one. */
export const stepParameters = {
  expire: {
    type: 'object',
    required: ['after'],
    properties: {
      after: duration({ minimum: 1, description: 'A message that is older is not delivered.' }),
      'dead-letter': { type: 'boolean', default: false, description: 'It goes to the dead letters, too.' },
    },
  },
  dedupe: {
    type: 'object',
    properties: {
      window: duration({ minimum: 1, default: '10m', description: 'How long a delivered message is remembered.' }),
      size: { type: 'integer', minimum: 1, maximum: 10_000_000, default: 10_000, description: 'How many are.' },
    },
  },
  module: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, description: "A file, relative to the config; './enrich.js#name'." },
      timeout: duration({ minimum: 1, default: '30s', description: 'How long it may take for one message.' }),
    },
  },
  split: {
    type: 'object',
    properties: {
      max: { type: 'integer', minimum: 1, maximum: 1_000_000, default: MAX_PARTS, description: 'Elements at most.' },
    },
  },
  throttle: {
    type: 'object',
    required: ['rate'],
    properties: {
      rate: { type: 'integer', minimum: 1, maximum: 1_000_000, description: 'Messages in the time of `per`.' },
      per: duration({ minimum: 1, default: '1s', description: 'The time in which so many may go.' }),
      burst: { type: 'integer', minimum: 1, maximum: 1_000_000, description: 'Messages that may go at once.' },
      excess: { enum: ['wait', 'drop'], default: 'wait', description: 'What becomes of those that are too many.' },
    },
  },
} satisfies Record<string, JsonSchema>

function withExpression(schema: JsonSchema, key: string, description: string): JsonSchema {
  return { ...schema, properties: { ...(schema['properties'] as object), [key]: { ...EXPRESSION, description } } }
}

/** Each step as editors have it, in the order in which they run. */
const steps: Readonly<Record<string, JsonSchema>> = {
  expire: {
    description: 'Messages older than this are not delivered.',
    anyOf: [duration({ minimum: 1 }), stepParameters.expire],
  },
  when: { ...EXPRESSION, description: 'A CEL expression: only messages for which it is true pass.' },
  dedupe: {
    description: 'A message whose like was delivered lately is filtered out.',
    anyOf: [
      { type: 'boolean' },
      withExpression(stepParameters.dedupe, 'key', 'A CEL expression: what makes two alike; the id, if left out.'),
    ],
  },
  module: {
    description: 'A function of a JavaScript module: ./enrich.js, ./enrich.js#name.',
    anyOf: [{ type: 'string' }, stepParameters.module],
  },
  split: {
    description: 'A CEL expression that gives a list: each element becomes a message.',
    anyOf: [
      EXPRESSION,
      { ...withExpression(stepParameters.split, 'list', 'A CEL expression that gives a list.'), required: ['list'] },
    ],
  },
  map: { ...EXPRESSION, description: 'A CEL expression that gives the new body.' },
  key: { ...EXPRESSION, description: 'A CEL expression that gives the key: order is kept by it.' },
  headers: {
    type: 'object',
    additionalProperties: EXPRESSION,
    description: 'Headers to set: text with CEL expressions in braces.',
  },
  topic: {
    ...EXPRESSION,
    description: "Where in the target it goes: text with CEL expressions in braces, 'orders.{body.region}'.",
  },
  throttle: {
    description: 'At most so many messages a second.',
    anyOf: [
      { type: 'integer', minimum: 1 },
      withExpression(stepParameters.throttle, 'by', 'A CEL expression: each of its values has a rate of its own.'),
    ],
  },
}

/** A lane's keys for its steps. */
export const laneStepSchemas: Readonly<Record<string, JsonSchema>> = {
  ...steps,
  steps: {
    type: 'array',
    description: 'Steps in an order of your own, in place of those keys: a list of maps with one of them each.',
    items: { type: 'object', minProperties: 1, maxProperties: 1, additionalProperties: false, properties: steps },
  },
}
