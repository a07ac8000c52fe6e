/** Floor 6. What must hold of an endpoint whatever happened to it: looked at when a test is over and the relay closed. */
import type { EndpointState } from '../types.ts'
import { expect } from './expect.ts'
import type { Incoming, Outgoing, Subject } from './subject.ts'

const LEGAL: Readonly<Record<EndpointState, readonly EndpointState[]>> = {
  connecting: ['connecting', 'up', 'down', 'closing'],
  up: ['down', 'closing'],
  down: ['connecting', 'closing'],
  closing: ['closed'],
  closed: [],
}

export function verify(subject: Subject): void {
  verifyStates(subject)
  verifyFigures(subject)
  for (const incoming of subject.incoming) verifyIncoming(subject, incoming)
  for (const outgoing of subject.outgoing) verifyOutgoing(subject, outgoing)
}

function verifyStates({ endpoint, states }: Subject): void {
  for (let index = 1; index < states.length; index++) {
    const [before, after] = [states[index - 1] as EndpointState, states[index] as EndpointState]
    expect(
      LEGAL[before].includes(after),
      `${endpoint.type} went from ${before} to ${after} (${states.join(' -> ')}): states are the base class's business`,
    )
  }
  expect(states.at(-1) === 'closed', `${endpoint.type} is ${states.at(-1)} after its end; it should be closed`)
}

function verifyFigures({ endpoint, incoming }: Subject): void {
  for (const [name, value] of Object.entries(endpoint.counters)) {
    expect(
      Number.isSafeInteger(value) && value >= 0,
      `the counter ${name} is ${value}: counters are whole numbers that only grow`,
    )
  }
  for (const [name, value] of Object.entries(endpoint.gauges)) {
    expect(Number.isFinite(value), `the gauge ${name} is ${value}: gauges are numbers`)
  }
  expect(
    endpoint.counters.received <= incoming.length,
    `${endpoint.counters.received} messages were counted, but only ${incoming.length} came in: receive() counts them`,
  )
}

function verifyIncoming({ endpoint }: Subject, { message, settle }: Incoming): void {
  const { source } = endpoint.capabilities
  expect(source !== null, `${endpoint.type} has no source in its capabilities, but a message came in`)
  expect(
    message.source === endpoint.name,
    `a message came in as from '${message.source}', not '${endpoint.name}': make messages with this.message()`,
  )
  expect(Buffer.isBuffer(message.payload), "a message's payload is a Buffer, even where the protocol has text")
  expect(typeof message.topic === 'string', `a message's topic is ${typeof message.topic}, it should be text`)
  expect(
    source.topics || message.topic === '',
    `a message has the topic '${message.topic}', but source.topics is false`,
  )
  const headers = Object.entries(message.headers)
  for (const [name, value] of headers) {
    expect(typeof value === 'string', `the header '${name}' is ${typeof value}: headers are text`)
  }
  expect(source.headers || headers.length === 0, 'a message has headers, but source.headers is false')
  expect(
    !source.ack || settle !== undefined,
    'source.ack is true, but receive() was given no settle: the peer would never hear what became of its message',
  )
}

function verifyOutgoing({ endpoint }: Subject, { confirms, returned, settled, threw }: Outgoing): void {
  expect(
    returned === undefined,
    `send() returned ${returned instanceof Promise ? 'a promise' : typeof returned}: it returns nothing and is not ` +
      'async; a target that hears back from its peer declares target.confirm and calls settle',
  )
  expect(
    endpoint.capabilities.target?.confirm === confirms,
    'the router gave settle to a target that does not confirm, or none to one that does',
  )
  if (!confirms) return
  const calls = settled.length
  expect(
    calls === (threw ? 0 : 1),
    threw
      ? `send() threw, and called settle ${calls} times as well: it does one or the other`
      : `settle was called ${calls} times for one message by the time the endpoint was closed: once each, whatever ` +
          'becomes of the link; disconnect() is the place to settle what is still open',
  )
}
