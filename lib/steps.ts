/**
 * Floor 2. A lane's steps, made from its configuration, in the order in which they run: `when` sees the message as it
 * came; `map` makes the new body; `key`, `headers` and `topic` are computed from what `map` left.
 */
import type { LaneConfig } from './config.ts'
import type { Expression } from './expression.ts'
import type { Step } from './lane.ts'
import type { Template } from './template.ts'

/** The lane's steps; empty where messages pass as they are. */
export function compileSteps(lane: LaneConfig): readonly Step[] {
  const steps: Step[] = []
  if (lane.when !== undefined) steps.push(filter(lane.when))
  if (lane.map !== undefined) steps.push(transform(lane.map))
  if (lane.key !== undefined) steps.push(rekey(lane.key))
  if (lane.headers !== undefined) steps.push(setHeaders(lane.headers))
  if (lane.topic !== undefined) steps.push(readdress(lane.topic))
  return steps
}

function filter(condition: Expression): Step {
  return { name: 'when', apply: (message) => (condition.evaluate(message) === true ? message : null) }
}

function transform(expression: Expression): Step {
  return { name: 'map', apply: (message) => message.with({ body: expression.evaluate(message) }) }
}

function rekey(expression: Expression): Step {
  return { name: 'key', apply: (message) => message.with({ key: String(expression.evaluate(message)) }) }
}

function setHeaders(templates: Readonly<Record<string, Template>>): Step {
  const entries = Object.entries(templates)
  return {
    name: 'headers',
    apply: (message) => {
      const headers: Record<string, string> = { ...message.headers }
      for (const [name, template] of entries) headers[name] = template.render(message)
      return message.with({ headers })
    },
  }
}

function readdress(template: Template): Step {
  return { name: 'topic', apply: (message) => message.with({ topic: template.render(message) }) }
}
