import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { StepConfig } from '../lib/config.ts'
import type { Expression } from '../lib/expression.ts'
import { Message } from '../lib/message.ts'
import { isStaged } from '../lib/delivery/stage.ts'
import { compileSteps } from '../lib/steps.ts'
import type { Template } from '../lib/template.ts'
import { counting } from './support/core.ts'

type Evaluate<Value> = (message: Message) => Value

function expression(evaluate: Evaluate<unknown>): Expression {
  return { text: 'given in code', usesBody: true, evaluate }
}

function template(render: Evaluate<string>): Template {
  return { text: 'given in code', usesBody: true, render }
}

function computed(name: 'when' | 'map' | 'key', evaluate: Evaluate<unknown>): StepConfig {
  return { name, expression: expression(evaluate) }
}

function headers(templates: Record<string, Template>): StepConfig {
  return { name: 'headers', templates }
}

function run(steps: readonly StepConfig[], first: Message): Message | null {
  let current: Message | null = first
  for (const step of compileSteps(steps).steps) {
    if (current === null) break
    assert.ok(!isStaged(step))
    current = step.apply(current)
  }
  return current
}

function message(body: unknown): Message {
  return new Message({ source: 'in', marshaller: counting(), body, topic: 'here', headers: { from: 'a' } })
}

describe("a lane's steps", () => {
  it('are none where messages pass as they are', () => {
    assert.deepEqual(compileSteps([]).steps, [])
  })

  it('filter by what is exactly true, nothing that merely counts as true', () => {
    for (const [value, passes] of [
      [true, true],
      [false, false],
      [1, false],
      ['true', false],
      [null, false],
    ] as const) {
      const result = run([computed('when', () => value)], message(1))
      assert.equal(result !== null, passes, String(value))
    }
  })

  it('add to the headers, and leave those of the message as they were', () => {
    const before = message(1)
    const after = run([headers({ to: template(() => 'b'), from: template(() => 'c') })], before)
    assert.deepEqual({ ...after?.headers }, { from: 'c', to: 'b' })
    assert.deepEqual({ ...before.headers }, { from: 'a' })
  })

  it('keep a header whose name every object has', () => {
    const templates = Object.fromEntries([
      ['__proto__', template(() => 'x')],
      ['constructor', template(() => 'y')],
    ])
    const after = run([headers(templates)], message(1))
    assert.deepEqual(Object.entries(after?.headers ?? {}), [
      ['from', 'a'],
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ])
  })

  it('take keys that are text, numbers or booleans, and refuse anything else', () => {
    const keys = [
      ['a', 'a'],
      [1, '1'],
      [12n, '12'],
      [true, 'true'],
    ] as const
    for (const [value, key] of keys) assert.equal(run([computed('key', () => value)], message(1))?.key, key)
    for (const value of [null, undefined, {}, [], Symbol('s')]) {
      assert.throws(() => run([computed('key', () => value)], message(1)), { code: 'ARALDO_ERR_EXPRESSION_FAILED' })
    }
  })

  it('run in the order in which they stand, each on what the one before left', () => {
    const all = ['when', 'map', 'key', 'headers', 'topic'] as const
    fc.assert(
      fc.property(fc.shuffledSubarray([...all]), (chosen) => {
        const seen: string[] = []
        const log = (step: string, current: Message): void => {
          seen.push(`${step}:${JSON.stringify(current.body)}:${current.key}:${current.headers['to']}:${current.topic}`)
        }
        const makers: Record<(typeof all)[number], StepConfig> = {
          when: computed('when', (current) => (log('when', current), true)),
          map: computed('map', (current) => (log('map', current), 'mapped')),
          key: computed('key', (current) => (log('key', current), 'k')),
          headers: headers({ to: template((current) => (log('headers', current), 'h')) }),
          topic: { name: 'topic', template: template((current) => (log('topic', current), 'there')) },
        }
        const result = run(
          chosen.map((step) => makers[step]),
          message('came'),
        )
        const expected: string[] = []
        const state = { body: 'came', key: 'undefined', to: 'undefined', topic: 'here' }
        for (const step of chosen) {
          expected.push(`${step}:"${state.body}":${state.key}:${state.to}:${state.topic}`)
          if (step === 'map') state.body = 'mapped'
          if (step === 'key') state.key = 'k'
          if (step === 'headers') state.to = 'h'
          if (step === 'topic') state.topic = 'there'
        }
        assert.deepEqual(seen, expected)
        assert.equal(result?.body, state.body)
        assert.equal(result?.topic, state.topic)
      }),
    )
  })
})
