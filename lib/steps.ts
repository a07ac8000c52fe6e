/** Floor 2. A lane's steps, made from its configuration: each sees what those before it left. */
import type { StepConfig } from './config.ts'
import { errors } from './errors.ts'
import type { Expression } from './expression.ts'
import type { Step } from './lane.ts'
import type { Message } from './message.ts'
import type { Template } from './template.ts'

/** The lane's steps; empty where messages pass as they are. */
export function compileSteps(configs: readonly StepConfig[]): readonly Step[] {
  return configs.map(compile)
}

/** What makes a step of each kind. */
const MAKERS: { readonly [Name in StepConfig['name']]: (config: Extract<StepConfig, { name: Name }>) => Step } = {
  when: ({ expression }) => filter(expression),
  map: ({ expression }) => transform(expression),
  key: ({ expression }) => rekey(expression),
  headers: ({ templates }) => setHeaders(templates),
  topic: ({ template }) => readdress(template),
}

function compile(config: StepConfig): Step {
  const make = MAKERS[config.name] as (config: StepConfig) => Step
  return make(config)
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
