/**
 * Floor 6. Checks of a source that hears what becomes of its messages: acknowledging, bringing again, pausing. The test is
 * the relay: it takes what comes in, and settles it as it likes.
 */
import { errors } from '../errors.ts'
import { type Check, noOutage, noSource } from './check.ts'
import { delay, expect, show, until } from './expect.ts'
import { noticesLoss } from './life.ts'
import { plain } from './payloads.ts'
import type { EndpointTest, Outage, Owner, Peer } from './peer.ts'
import { Rig } from './rig.ts'
import type { Incoming, Subject } from './subject.ts'

const FEW = 5
const MANY = 300
/** How long nothing is allowed to happen (milliseconds). */
const QUIET = 100

type Capability = 'ack' | 'replay' | 'pause'

const not =
  (capability: Capability) =>
  ({ endpoint }: Subject): string | undefined =>
    endpoint.capabilities.source?.[capability] === true ? undefined : `source.${capability} is not declared`
const noPending = ({ peer }: Subject): string | undefined =>
  peer.pending === undefined ? "the peer has no 'pending': give it one if it knows what is not acknowledged" : undefined

export const settlingChecks: readonly Check[] = [
  {
    name: 'acknowledges a message when it is settled, and not before',
    unless: [noSource, not('ack'), noPending],
    run: async ({ subject }) => {
      const held = await holds(subject, FEW)
      await delay(QUIET)
      const before = await pending(subject)
      expect(
        before === FEW,
        `${FEW} messages came in and none is settled, but ${before} are pending at the peer: acknowledge in settle`,
      )
      for (const [index, { settle }] of held.entries()) {
        settle?.(null)
        // A second word on it counts no more.
        settle?.(new errors.SEND_FAILED('the suite', 'late'))
        await leaves(subject, FEW - index - 1, 'settle(null) says that the message is done: acknowledge it')
      }
    },
  },
  {
    name: 'lets go of what is rejected for good',
    unless: [noSource, not('ack'), noPending],
    run: async ({ subject }) => {
      const held = await holds(subject, FEW)
      for (const { settle } of held) settle?.(new errors.TOPIC_INVALID('the suite', 'for good'))
      await leaves(subject, 0, 'an error whose retryable is false says that no other try can help')
      await delay(QUIET)
      expect(
        subject.incoming.length === FEW,
        'a message that was rejected for good came in again: it would do so for ever',
      )
    },
  },
  {
    name: 'brings again what is rejected for now',
    unless: [noSource, not('replay')],
    run: async ({ subject }) => {
      const held = await holds(subject, FEW)
      // One of a key at a time: the next may wait for it.
      subject.taker = ({ settle }) => settle?.(null)
      for (const { settle } of held) settle?.(new errors.SEND_FAILED('the suite', 'for now'))
      await comesAgain(subject, held, 'it was rejected with an error whose retryable is true')
      if (subject.peer.pending !== undefined) await leaves(subject, 0, 'it was settled at last')
    },
  },
  {
    name: 'loses nothing that is not settled when its link is lost',
    unless: [noSource, not('replay'), noPending, noOutage],
    run: async ({ subject }) => {
      const held = await holds(subject, FEW)
      const outage = subject.peer.outage as Outage
      await outage.stop()
      await noticesLoss(subject)
      await outage.start()
      await subject.reaches('up', 'the peer is back')
      // It may bring them again, or acknowledge those that it has brought: the first settle counts.
      subject.taker = ({ settle }) => settle?.(null)
      for (const { settle } of [...held, ...subject.incoming.slice(FEW)]) settle?.(null)
      await leaves(subject, 0, 'they were settled after the outage, or came in again and were')
    },
  },
  {
    name: 'brings what is not settled again when it is started anew',
    started: false,
    unless: [noSource, not('replay')],
    run: async (_rig, t, test) => {
      const peer = await test.createPeer(t)
      const first = await startedRig(peer, t, test)
      const held = await holds(first.subject, FEW)
      await first.close()
      const second = await startedRig(peer, t, test)
      second.subject.taker = () => {}
      await comesAgain(second.subject, held, 'it was not settled when the relay before was closed', 0)
      await second.close()
      await peer.close?.()
    },
  },
  {
    name: 'takes nothing in while it is paused, and all of it afterwards',
    unless: [noSource, not('pause')],
    run: async ({ subject }) => {
      await subject.emit(plain('message', 0))
      await subject.arrives(1)
      subject.endpoint.hold()
      for (let number = 1; number < MANY; number++) await subject.emit(plain('message', number))
      await delay(QUIET)
      staysPaused(subject, 1)
      subject.endpoint.release()
      await subject.arrives(MANY)
      subject.arrived.forEach(({ payload }, number) => {
        expect(
          payload.equals(plain('message', number)),
          `message ${number} came in as ${show(payload)}: a pause loses nothing and keeps the order`,
        )
      })
    },
  },
  {
    name: 'stays paused when its link is lost and comes back',
    unless: [noSource, not('pause'), not('replay'), noOutage],
    run: async ({ subject }) => {
      const outage = subject.peer.outage as Outage
      subject.endpoint.hold()
      await outage.stop()
      await noticesLoss(subject)
      await outage.start()
      await subject.reaches('up', 'the peer is back')
      for (let number = 0; number < FEW; number++) await subject.emit(plain('message', number))
      await delay(QUIET)
      staysPaused(subject, 0)
      subject.endpoint.release()
      await subject.arrives(FEW)
    },
  },
]

/** The peer sends so many messages; resolves when they are in, unsettled. */
async function holds(subject: Subject, count: number): Promise<Incoming[]> {
  subject.taker = () => {}
  for (let number = 0; number < count; number++) await subject.emit(plain('message', number))
  await until(
    () => subject.incoming.length >= count,
    subject.patience,
    () => `${subject.incoming.length} of the ${count} messages that the peer sent have come in${subject.trouble}`,
  )
  return subject.incoming.slice(0, count)
}

/** Resolves when the held messages have come in once more, with the same ids. */
async function comesAgain(
  subject: Subject,
  held: readonly Incoming[],
  why: string,
  after = held.length,
): Promise<void> {
  const find = ({ message }: Incoming): Incoming | undefined =>
    subject.incoming.slice(after).find((each) => each.message.payload.equals(message.payload))
  await until(
    () => held.every((each) => find(each) !== undefined),
    subject.patience,
    () => {
      const missing = held.filter((each) => find(each) === undefined).length
      return `${missing} of ${held.length} messages have not come in again${subject.trouble}: source.replay is declared, and ${why}`
    },
  )
  for (const each of held) {
    const { id } = (find(each) as Incoming).message
    expect(
      id === each.message.id,
      `a message came in again with the id '${id}', which was '${each.message.id}': receivers know it by that`,
    )
  }
}

async function pending({ peer }: Subject): Promise<number> {
  return (await peer.pending?.()) ?? 0
}

async function leaves(subject: Subject, count: number, why: string): Promise<void> {
  let there = 0
  await until(
    async () => (there = await pending(subject)) === count,
    subject.patience,
    () => `${there} messages are pending at the peer, there should be ${count}${subject.trouble}: ${why}`,
  )
}

function staysPaused({ incoming }: Subject, before: number): void {
  const count = incoming.length - before
  expect(
    count === 0,
    `${count} messages came in that the peer sent after suspend(): keep what is read back until resume()`,
  )
}

/** A relay that listens, with a peer that outlives it. */
async function startedRig(peer: Peer, t: Owner, test: EndpointTest): Promise<Rig> {
  const lasting = new Proxy(peer, {
    get: (target, key) => {
      if (key === 'close') return undefined
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const rig = await Rig.create({ ...test, createPeer: () => lasting }, t)
  await rig.start()
  return rig
}
