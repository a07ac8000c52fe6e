/** Floor 2. A lane's steps, made from its configuration: each sees what those before it left. */
import type { StepConfig, ThrottleConfig } from './config/steps.ts'
import type { Clock } from './delivery/dispatcher.ts'
import { errors } from './errors.ts'
import type { Expression } from './expression.ts'
import type { Message } from './message.ts'
import type { StagedStep, Step } from './delivery/stage.ts'
import { dedupe } from './steps/dedupe.ts'
import { Expiry } from './steps/expiry.ts'
import { boundedKey } from './steps/key.ts'
import { module } from './steps/module.ts'
import { Rates } from './steps/rate.ts'
import { split } from './steps/split.ts'
import type { Template } from './template.ts'

/** What a lane is made with. */
export interface CompiledSteps {
  /** Empty where messages pass as they are. */
  readonly steps: readonly (Step | StagedStep)[]
  /** Of its `expire`, which holds while messages wait, too. */
  readonly expiry: Expiry | undefined
  /** Of a `throttle` that lets messages wait. */
  readonly throttle: ThrottleConfig | undefined
}

/** @param clock handed in by tests. */
export function compileSteps(configs: readonly StepConfig[], clock: Clock = {}): CompiledSteps {
  const expire = configs.find((config) => config.name === 'expire')
  const throttle = configs.find((config) => config.name === 'throttle')
  const expiry = expire && new Expiry(expire.after, expire.deadLetter)
  return {
    steps: configs.map((config) => (config.name === 'expire' ? refuseOld(expiry as Expiry) : compile(config, clock))),
    expiry,
    throttle: throttle?.excess === 'wait' ? throttle : undefined,
  }
}

type Compiled = Exclude<StepConfig, { name: 'expire' }>
type Make<Config> = (config: Config, clock: Clock) => Step | StagedStep

/** What makes a step of each kind. */
const MAKERS: { readonly [Name in Compiled['name']]: Make<Extract<Compiled, { name: Name }>> } = {
  when: ({ expression }) => filter(expression),
  dedupe,
  module,
  split,
  map: ({ expression }) => transform(expression),
  key: ({ expression }) => rekey(expression),
  headers: ({ templates }) => setHeaders(templates),
  topic: ({ template }) => readdress(template),
  // What waits for its time waits in the outbox.
  throttle: (config, { now }) => (config.excess === 'wait' ? { name: 'throttle', apply: same } : limit(config, now)),
}

function compile(config: Compiled, clock: Clock): Step | StagedStep {
  const make = MAKERS[config.name] as Make<Compiled>
  return make(config, clock)
}

function same(message: Message): Message {
  return message
}

function refuseOld(expiry: Expiry): Step {
  return {
    name: 'expire',
    apply: (message) => {
      const refusal = expiry.refusalOf(message)
      if (refusal !== undefined) throw refusal
      return message
    },
  }
}

function limit({ by, ...config }: ThrottleConfig, now: (() => number) | undefined): Step {
  const rates = new Rates(config, now)
  const limited = (message: Message): string => (by === undefined ? '' : boundedKey(by.evaluate(message) as string))
  return { name: 'throttle', apply: (message) => (rates.take(limited(message)) ? message : null) }
}

function filter(condition: Expression): Step {
  return { name: 'when', apply: (message) => (condition.evaluate(message) === true ? message : null) }
}

function transform(expression: Expression): Step {
  return { name: 'map', apply: (message) => message.with({ body: expression.evaluate(message) }) }
}

function rekey(expression: Expression): Step {
  return { name: 'key', apply: (message) => message.with({ key: keyOf(expression, message) }) }
}

/** Lists, maps and nothing at all are no keys: as text, many of them would be one. */
function keyOf(expression: Expression, message: Message): string {
  const value = expression.evaluate(message)
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  throw new errors.EXPRESSION_FAILED(expression.text, message.id, 'a key is text, a number or a boolean')
}

function setHeaders(templates: Readonly<Record<string, Template>>): Step {
  const entries = Object.entries(templates)
  return {
    name: 'headers',
    apply: (message) => {
      // Without a prototype, `__proto__` is a name like any other.
      const headers = Object.assign(Object.create(null) as Record<string, string>, message.headers)
      for (const [name, template] of entries) headers[name] = template.render(message)
      return message.with({ headers })
    },
  }
}

function readdress(template: Template): Step {
  return { name: 'topic', apply: (message) => message.with({ topic: template.render(message) }) }
}
