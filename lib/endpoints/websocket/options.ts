/** Floor 3. The parameters of `endpoint-websocket`. */
import type { OptionIssue } from '../../endpoint.ts'
import { duration, size } from '../../schema.ts'
import type { JsonSchema } from '../../types.ts'
import { isOrigin } from './admission.ts'
import { topicProblem } from './topic.ts'

/** Sizes in bytes, durations in milliseconds. */
export interface WebSocketOptions {
  readonly path: string
  readonly topic?: string
  readonly origins?: readonly string[]
  readonly 'max-payload': number
  readonly 'max-connections': number
  readonly 'ping-interval': number
  readonly 'ping-timeout': number
  readonly 'on-invalid': 'close' | 'drop'
  readonly echo: boolean
  readonly acknowledge: 'allowed' | 'required'
  readonly 'max-in-flight': number
  readonly 'permessage-deflate': boolean
  readonly limit: number
  readonly 'write-timeout': number
}

/** No endpoint's `max-payload` can exceed this many bytes. */
export const MAX_PAYLOAD = 64 * 1024 * 1024

export const schema: JsonSchema = {
  type: 'object',
  required: ['path'],
  properties: {
    path: {
      type: 'string',
      pattern: '^/',
      description: 'Where browsers connect, as a Fastify route: `/ws`, `/rooms/:room`.',
    },
    topic: {
      type: 'string',
      minLength: 1,
      description:
        'As a target: only clients whose path is this get a message, as in `/rooms/{headers.param_room}`; `*` is everyone. ' +
        'Without it everyone gets it.',
    },
    origins: {
      type: 'array',
      minItems: 1,
      items: { type: 'string' },
      description:
        "Whose pages may connect: `https://app.example.com`, or `*` for all. Without it, only this host's own. A program that " +
        'sends no Origin passes.',
    },
    'max-payload': size({
      minimum: 1,
      maximum: MAX_PAYLOAD,
      default: '64KiB',
      description: 'A client that sends a larger message is closed with 1009.',
    }),
    'max-connections': {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description: 'Further clients are refused with status 503.',
    },
    'ping-interval': duration({
      minimum: 10,
      default: '25s',
      description: 'A client that was silent for so long is sent a ping.',
    }),
    'ping-timeout': duration({
      minimum: 10,
      default: '10s',
      description: 'A client that has not answered a ping after so long is cut off.',
    }),
    'on-invalid': {
      enum: ['close', 'drop'],
      default: 'close',
      description:
        'What happens to a client that sends what the marshaller cannot decode: it is closed, or only not heard.',
    },
    echo: {
      type: 'boolean',
      default: false,
      description: 'Whether a client gets back what it sent itself, where the route leads to its own endpoint.',
    },
    acknowledge: {
      enum: ['allowed', 'required'],
      default: 'allowed',
      description:
        'Which clients are told what became of their messages (`araldo.v1`): those that ask for it, or, with `required`, ' +
        'all, and others are refused. Only the latter lets lanes promise at least once.',
    },
    'max-in-flight': {
      type: 'integer',
      minimum: 1,
      maximum: 100_000,
      default: 256,
      description:
        'A client of `araldo.v1` is not read from while so many of its messages, or `limit` bytes, have no answer yet.',
    },
    'permessage-deflate': {
      type: 'boolean',
      default: false,
      description:
        'Whether browsers may compress. For small messages that costs far more processor time than it saves bytes.',
    },
    limit: size({
      minimum: 4 * 1024,
      default: '1MiB',
      description: 'A client for which more bytes wait than this is closed with 1013. No message may be larger.',
    }),
    'write-timeout': duration({
      minimum: 10,
      default: '10s',
      description: 'A client that reads nothing of what waits for it for so long is closed with 1013.',
    }),
  },
}

/** Errors that the schema cannot say. */
export function* check({ origins = [], topic }: WebSocketOptions): Iterable<OptionIssue> {
  for (const origin of origins) {
    if (!isOrigin(origin)) {
      yield { path: 'origins', message: `'${origin}' is no origin: write https://host or https://host:port, or *` }
    }
  }
  const problem = topic === undefined ? undefined : topicProblem(topic)
  if (problem !== undefined) yield { path: 'topic', message: problem }
}
