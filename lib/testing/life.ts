/** Floor 6. Checks of an endpoint's life: start, outage, end. */
import { type Check, noOutage } from './check.ts'
import { delay, expect, inTime, until } from './expect.ts'
import { isProbe, plain } from './payloads.ts'
import type { EndpointTest, Outage, Owner } from './peer.ts'
import { Rig } from './rig.ts'
import type { Subject } from './subject.ts'

/** An end takes no longer (milliseconds), whatever the peer does. */
const STOP_LIMIT = 3_000

const noFreeze = ({ peer }: Subject): string | undefined =>
  peer.outage?.freeze === undefined ? 'the peer has no outage.freeze: give it one if it can hang' : undefined

export const lifeChecks: readonly Check[] = [
  {
    name: 'comes up and works',
    run: async ({ subject }) => {
      expect(subject.endpoint.reason === undefined, 'an endpoint that is up has no reason why it is not')
      expect(subject.endpoint.counters.connects === 1, "the counter 'connects' is 1 once it is up")
      await subject.works('when it is up')
    },
  },
  {
    name: 'boots while its peer is away, says why it is not up, and comes up when the peer does',
    started: false,
    unless: [noOutage],
    run: async (rig) => {
      const { subject } = rig
      const outage = subject.peer.outage as Outage
      await outage.stop()
      await rig.listen()
      await subject.reaches('down', 'connect() rejects when the peer is not there')
      expectReason(subject)
      await outage.start()
      await subject.reaches('up', 'the peer is there now')
      await subject.works('when the peer is there at last')
    },
  },
  {
    name: 'goes down when its link is lost, and works again when the peer is back, twice over',
    unless: [noOutage],
    run: async ({ subject }) => {
      const outage = subject.peer.outage as Outage
      for (const time of ['first', 'second']) {
        await subject.works(`before the ${time} outage`)
        await outage.stop()
        await noticesLoss(subject)
        expectReason(subject)
        await outage.start()
        await subject.reaches('up', `the peer is back after the ${time} outage`)
        await subject.works(`after the ${time} outage`)
      }
      expect(subject.endpoint.counters.failures >= 2, "the counter 'failures' grows with each loss")
    },
  },
  {
    name: 'lives beside another of its type',
    rig: { count: 2 },
    run: async ({ subjects: [one, other] }) => {
      if (one === undefined || other === undefined) return
      await besides(one, other)
      await besides(other, one)
      await besides(one, other)
    },
  },
  {
    name: 'still sends while the relay drains',
    run: async ({ subject }) => {
      await inTime(subject.endpoint.pause(), STOP_LIMIT, 'quiesce() should end')
      expect(subject.endpoint.state === 'up', `quiesce() keeps the link, but the endpoint is ${subject.endpoint.state}`)
      if (!subject.isTarget) return
      await subject.publish(plain('last', 1))
      await subject.delivers(1)
    },
  },
  ...(['before it is started', 'while it is up', 'while it is down'] as const).map(stopCheck),
  {
    name: 'can be stopped at any moment of connecting',
    started: false,
    run: async (_rig, t, test) => {
      for (const moment of [undefined, 0, 1, 2, 5, 10, 20, 50]) await stopsWhileConnecting(test, t, moment)
    },
  },
  {
    name: 'is not held up at its end by a peer that hangs',
    unless: [noFreeze],
    run: async ({ subject }, t) => {
      const outage = subject.peer.outage as Outage
      t.after(() => outage.thaw?.())
      await outage.freeze?.()
      await stops(subject, 'when the peer answers nothing any more')
      await outage.thaw?.()
    },
  },
  {
    name: 'leaves no connection, timer or file open behind it',
    started: false,
    run: async (rig) => {
      const before = resources()
      await rig.start()
      await rig.subject.works('when it is up')
      await rig.server.close()
      await expectReleased(before, rig.patience)
    },
  },
  {
    name: 'leaves nothing open behind it when it ends while its peer is away',
    started: false,
    unless: [noOutage],
    run: async (rig) => {
      const outage = rig.subject.peer.outage as Outage
      await outage.stop()
      const before = resources()
      await rig.listen()
      await rig.subject.reaches('down', 'the peer is not there')
      await rig.server.close()
      await expectReleased(before, rig.patience)
    },
  },
]

/** A peer without a connection is missed when it is sent something, at the latest. */
export async function noticesLoss(subject: Subject): Promise<void> {
  await until(
    () => {
      if (subject.isTarget) void subject.publish(plain('into the void', 0)).catch(() => {})
      return subject.endpoint.state !== 'up'
    },
    subject.patience,
    () => 'the peer is gone, and the endpoint is still up: this.lost() tells',
  )
}

/** What comes in and goes out at one is nothing to the other. */
async function besides(here: Subject, there: Subject): Promise<void> {
  await here.works('beside another of its type')
  expect(
    !there.arrived.some(({ payload }) => isProbe(payload, here.name)),
    'what one peer sent came in at another endpoint of the type: keep what belongs to one in its own object',
  )
  if (!there.isTarget) return
  expect(
    !(await there.received()).some(({ payload }) => isProbe(payload, here.name)),
    'what was sent to one endpoint reached the peer of another of the type',
  )
}

function stopCheck(when: 'before it is started' | 'while it is up' | 'while it is down'): Check {
  return {
    name: `can be stopped ${when}, and twice over`,
    started: when === 'while it is up',
    unless: when === 'while it is down' ? [noOutage] : [],
    run: async (rig) => {
      const { subject } = rig
      if (when === 'while it is down') {
        await subject.peer.outage?.stop()
        await rig.listen()
        await subject.reaches('down', 'the peer is not there')
      }
      await stops(subject, when)
    },
  }
}

async function stops({ endpoint }: Subject, when: string): Promise<void> {
  const first = endpoint.stop()
  const second = endpoint.stop()
  await inTime(Promise.all([first, second]), STOP_LIMIT, `stop() ${when} should end: disconnect() waits for no peer`)
  expect(endpoint.state === 'closed', `the endpoint is ${endpoint.state} when it was stopped ${when}`)
}

/** @param moment milliseconds after connect() was called; undefined for at once. */
async function stopsWhileConnecting(test: EndpointTest, t: Owner, moment: number | undefined): Promise<void> {
  const rig = await Rig.create(test, t)
  const { endpoint } = rig.subject
  const when = `${moment ?? 0} ms after connect() was called`
  const stopped = new Promise<void>((resolve, reject) => {
    const connecting = endpoint as unknown as { connect(signal: AbortSignal): unknown }
    const connect = connecting.connect.bind(endpoint)
    connecting.connect = (signal) => {
      const connected = connect(signal)
      const stop = (): void => void stops(rig.subject, when).then(resolve, reject)
      if (moment === undefined) stop()
      else setTimeout(stop, moment)
      return connected
    }
  })
  await rig.listen({ open: false })
  await inTime(stopped, rig.patience, `stop() ${when} should end`)
  await delay(1)
  expect(endpoint.state === 'closed', `the endpoint is ${endpoint.state} after stop() ${when}`)
  await rig.close()
}

function expectReason({ endpoint }: Subject): void {
  const { reason, state } = endpoint
  expect(
    reason !== undefined && reason !== '',
    `the endpoint is ${state} and gives no reason: connect() rejects, and lost() is called, with an Error that says why`,
  )
}

/** What keeps a process alive, by its kind: timers, sockets, files, child processes. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

async function expectReleased(before: ReadonlyMap<string, number>, patience: number): Promise<void> {
  let left: string[] = []
  const isReleased = (): boolean => {
    left = [...resources()]
      .map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)] as const)
      .filter(([, more]) => more > 0)
      .map(([kind, more]) => `${more} ${kind}`)
    return left.length === 0
  }
  await until(
    isReleased,
    patience,
    () =>
      `the relay is closed, and this is still open: ${left.join(', ')}. Close in disconnect() what connect() opens, and the peer's own too`,
  )
}
