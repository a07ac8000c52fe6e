/** Floor 6. Checks of the end that messages go out by. */
import { Message } from '../message.ts'
import { type Check, noOutage, noTarget } from './check.ts'
import { expect, inTime, show, until } from './expect.ts'
import { binary, HOSTILE, isProbe, plain, type Sample, text } from './payloads.ts'
import type { Subject } from './subject.ts'

const MANY = 300
const HEADERS = { 'araldo-test': 'grün', 'araldo-empty': '' }

const noConfirm = ({ endpoint }: Subject): string | undefined =>
  endpoint.capabilities.target?.confirm === true ? undefined : 'target.confirm is not declared'
const noTopics = ({ endpoint, peer }: Subject): string | undefined => {
  if (endpoint.capabilities.target?.topics !== true) return 'target.topics is not declared'
  return peer.topic === undefined ? "the peer has no 'topic' to send to" : undefined
}
const noHeaders = ({ endpoint }: Subject): string | undefined =>
  endpoint.capabilities.target?.headers === true ? undefined : 'target.headers is not declared'
const mayEcho = ({ endpoint, isSource }: Subject): string | undefined => {
  if (!isSource) return 'it has no source'
  return endpoint.capabilities.target?.echo === true ? 'target.echo is declared' : undefined
}

export const targetChecks: readonly Check[] = [
  {
    name: 'sends bytes as they are',
    unless: [noTarget],
    run: async ({ subject }) => sends(subject, binary(subject.peer)),
  },
  {
    name: 'sends text as it is',
    unless: [noTarget],
    rig: { marshalling: 'marshal-text' },
    run: async ({ subject }) => sends(subject, text(subject.peer)),
  },
  {
    name: `sends ${MANY} messages, all of them, in their order`,
    unless: [noTarget],
    run: async ({ subject }) => {
      const all = Array.from({ length: MANY }, (_, number) => subject.publish(plain('message', number)))
      await inTime(Promise.all(all), subject.patience, `${MANY} messages should be delivered`)
      await subject.delivers(MANY)
      const received = await subject.received()
      received.forEach(({ payload }, number) => {
        expect(
          payload.equals(plain('message', number)),
          `message ${number} reached the peer as ${show(payload)}: messages go out once each, in the order of send()`,
        )
      })
    },
  },
  {
    name: 'sends to the topic of the message',
    unless: [noTarget, noTopics],
    run: async ({ subject }) => {
      const { topic } = subject.peer
      await subject.publish(plain('message', 1))
      await subject.delivers(1)
      const [received] = await subject.received()
      expect(received?.topic === topic, `the message for '${topic}' went to '${received?.topic}'`)
    },
  },
  {
    name: 'sends the headers of the message',
    unless: [noTarget, noHeaders],
    run: async ({ subject }) => {
      await subject.publish(plain('message', 1), { headers: HEADERS })
      await subject.delivers(1)
      const [received] = await subject.received()
      for (const [name, value] of Object.entries(HEADERS)) {
        const there = received?.headers?.[name]
        expect(there === value, `the header '${name}' was sent as '${value}', and reached the peer as '${there}'`)
      }
    },
  },
  {
    name: 'does not hear itself',
    unless: [noTarget, mayEcho],
    run: async ({ subject }) => {
      for (let number = 0; number < 10; number++) await subject.publish(plain('message', number))
      await subject.delivers(10)
      expect(
        subject.incoming.length === 0,
        `${subject.incoming.length} of 10 messages that it sent came in again: declare target.echo, or keep them out`,
      )
    },
  },
  {
    name: 'settles each message once',
    unless: [noTarget, noConfirm],
    run: async ({ subject }) => {
      for (let number = 0; number < MANY; number++) void subject.publish(plain('message', number)).catch(() => {})
      await allSettled(subject)
      for (const { settled } of subject.outgoing) {
        expect(settled.length === 1, `settle was called ${settled.length} times for one message`)
        expect(settled[0] === null, `settle was called with an error by a peer that is well: ${settled[0]?.message}`)
      }
    },
  },
  {
    name: 'settles each message once when the peer goes away in the middle',
    unless: [noTarget, noConfirm, noOutage],
    run: async ({ subject }) => {
      const { outage } = subject.peer
      let stopping: unknown
      for (let number = 0; number < MANY; number++) {
        void subject.publish(plain('message', number)).catch(() => {})
        if (number === MANY / 2) stopping = outage?.stop()
      }
      await subject.reaches('down', 'its peer is gone')
      await answersAll(subject)
      // The endpoint may know that its peer is gone before the test does.
      await stopping
      await outage?.start()
      await allSettled(subject)
    },
  },
  {
    name: 'settles each message once when it is stopped in the middle',
    unless: [noTarget, noConfirm],
    run: async ({ subject }) => {
      for (let number = 0; number < MANY; number++) void subject.publish(plain('message', number)).catch(() => {})
      await subject.endpoint.stop()
      await allSettled(subject)
    },
  },
  {
    name: 'outlives payloads that are meant to hurt, as bytes',
    unless: [noTarget],
    run: async ({ subject }) => outlives(subject),
  },
  {
    name: 'outlives payloads that are meant to hurt, as text',
    unless: [noTarget],
    rig: { marshalling: 'marshal-text' },
    run: async ({ subject }) => outlives(subject),
  },
  {
    name: 'throws or drops what it is sent once it is stopped',
    unless: [noTarget],
    run: async ({ subject }) => {
      await subject.endpoint.stop()
      await sendsDirectly(subject)
    },
  },
  {
    name: 'throws or drops what it is sent before it is started',
    started: false,
    unless: [noTarget],
    run: async ({ subject }) => sendsDirectly(subject),
  },
]

async function sends(subject: Subject, samples: readonly Sample[]): Promise<void> {
  for (const [index, { what, payload }] of samples.entries()) {
    await inTime(subject.publish(payload), subject.patience, `${what} should be delivered`)
    await subject.delivers(index + 1)
    const received = (await subject.received())[index]?.payload ?? Buffer.alloc(0)
    expect(received.equals(payload), `${what}: ${show(payload)} were sent, and ${show(received)} reached the peer`)
  }
}

async function outlives(subject: Subject): Promise<void> {
  for (const { what, payload } of HOSTILE) {
    await inTime(
      subject.publish(payload).catch(() => {}),
      subject.patience,
      `${what}: to be delivered or refused`,
    )
    await subject.works(`after ${what}`)
  }
  for (const { payload } of await subject.received()) {
    const isKnown = HOSTILE.some((sample) => sample.payload.equals(payload)) || isProbe(payload)
    expect(isKnown, `${show(payload)} reached the peer, which nobody sent: refuse what cannot go through as it is`)
  }
}

/** Past the lanes, which send to nobody who is not up: a link can break without anybody knowing yet. */
async function sendsDirectly({ endpoint, patience }: Subject): Promise<void> {
  const message = new Message({ source: 'suite', marshaller: endpoint.marshaller, payload: plain('late', 1) })
  let settled = 0
  try {
    if (endpoint.capabilities.target?.confirm === true) endpoint.send(message, () => settled++)
    else endpoint.send(message)
  } catch (error) {
    expect(error instanceof Error, `send() threw ${String(error)}: throw an Error`)
    return
  }
  if (endpoint.capabilities.target?.confirm !== true) return
  await until(
    () => settled > 0,
    patience,
    () => 'send() without a link neither threw nor called settle: the message would be under way for ever',
  )
}

/** What the endpoint took has its answer, though the link is lost: one, and not none. */
async function answersAll({ outgoing, patience }: Subject): Promise<void> {
  const open = (): number => outgoing.filter(({ settled, threw }) => settled.length === 0 && !threw).length
  await until(
    () => open() === 0,
    patience,
    () => `${open()} messages were sent and have no answer: when the link is lost, settle them with an error`,
  )
  for (const { settled } of outgoing) {
    expect(settled.length <= 1, `settle was called ${settled.length} times for one message`)
  }
}

async function allSettled(subject: Subject): Promise<void> {
  await until(
    () => subject.ledger.waiting === 0,
    subject.patience,
    () => `${subject.ledger.waiting} of ${MANY} messages are not settled${subject.trouble}`,
  )
}
