/** A lane with steps, all of whose moves a test makes and sees. */
import assert from 'node:assert/strict'
import { compileExpression, type Expected, type Expression } from '../../lib/expression.ts'
import type { StepConfig } from '../../lib/config/steps.ts'
import type { DeliveryConfig } from '../../lib/delivery/guarantee.ts'
import { Lane, type Outcome } from '../../lib/delivery/lane.ts'
import { Message, type MessageInit } from '../../lib/message.ts'
import type { StepFunction } from '../../lib/steps/function.ts'
import { compileSteps } from '../../lib/steps.ts'
import type { Settle, SourceCapabilities } from '../../lib/types.ts'
import { contextOf, counting, deliveryOf, TestEndpoint } from '../support/core.ts'

export function cel(text: string, expects: Expected = 'any'): Expression {
  return compileExpression(text, expects)
}

export const step = {
  when: (text: string): StepConfig => ({ name: 'when', expression: cel(text, 'bool') }),
  map: (text: string): StepConfig => ({ name: 'map', expression: cel(text) }),
  key: (text: string): StepConfig => ({ name: 'key', expression: cel(text, 'string') }),
  split: (text = 'body', max = 100): StepConfig => ({ name: 'split', list: cel(text, 'list'), max }),
  dedupe: (key?: string, window = 1_000, size = 100): StepConfig => ({
    name: 'dedupe',
    key: key === undefined ? undefined : cel(key, 'string'),
    window,
    size,
  }),
  module: (run: StepFunction, timeout = 30_000): StepConfig => ({ name: 'module', path: './it.js', run, timeout }),
  expire: (after: number, deadLetter = false): StepConfig => ({ name: 'expire', after, deadLetter }),
}

export interface Setup {
  readonly confirm?: boolean
  readonly source?: Partial<SourceCapabilities>
  readonly delivery?: Partial<DeliveryConfig>
  readonly withDeadLetters?: boolean
  readonly now?: () => number
}

export interface Settled {
  readonly id: string
  readonly error: Error | null
}

export function laneOf(steps: readonly StepConfig[], setup: Setup = {}) {
  const { confirm = false, source: able, delivery, withDeadLetters = false, now } = setup
  const source = new TestEndpoint(contextOf('in', able === undefined ? {} : { source: able }))
  const target = new TestEndpoint(contextOf('out', { confirm }))
  const dead = new TestEndpoint(contextOf('dead'))
  target.start()
  dead.start()
  const clock = now === undefined ? {} : { now }
  const lane = new Lane({
    source,
    target,
    ...compileSteps(steps, clock),
    optional: false,
    delivery: deliveryOf(delivery),
    deadLetters: withDeadLetters ? dead : undefined,
    onDrop: (_lane, _reason, error) => void errors.push(error),
    clock: { ...clock, random: () => 0 },
  })
  const errors: unknown[] = []
  const outcomes: Outcome[] = []
  const check = (): void => {
    assert.equal(lane.ledger.waiting, lane.messages, 'what the ledger says is waiting is not there')
    assert.ok(lane.bytes >= 0)
  }
  lane.trace = (_lane, _message, outcome) => void outcomes.push(outcome)
  const settled: Settled[] = []
  /** Answers of the target that are due, where the test does not give another `onSend`. */
  const answers: Settle[] = []
  if (confirm) target.onSend = (_message, settle) => void answers.push(settle as Settle)
  const feed = (body: unknown, init: Partial<MessageInit> = {}): Message => {
    const message = new Message({ source: 'in', marshaller: counting(), body, ...init })
    lane.accept(message, { settle: (error) => void settled.push({ id: message.id, error }) })
    check()
    return message
  }
  const bodies = (endpoint = target): unknown[] => endpoint.sent.map(({ body }) => body)
  return { lane, ledger: lane.ledger, source, target, dead, errors, outcomes, settled, answers, feed, bodies, check }
}

export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code
}
