/** Floor 6. Checks of the end that messages come in by. */
import { type Check, noSource } from './check.ts'
import { delay, expect, show } from './expect.ts'
import { binary, HOSTILE, isProbe, plain, type Sample, text } from './payloads.ts'
import type { Subject } from './subject.ts'

const MANY = 300
/** How long nothing is allowed to happen (milliseconds). */
const QUIET = 100

export const sourceChecks: readonly Check[] = [
  {
    name: 'takes bytes in as they are',
    unless: [noSource],
    run: async ({ subject }) => takesIn(subject, binary(subject.peer)),
  },
  {
    name: 'takes text in as it is',
    unless: [noSource],
    rig: { marshalling: 'marshal-text' },
    run: async ({ subject }) => takesIn(subject, text(subject.peer)),
  },
  {
    name: `takes ${MANY} messages in, all of them, in their order`,
    unless: [noSource],
    run: async ({ subject }) => {
      for (let number = 0; number < MANY; number++) await subject.emit(plain('message', number))
      await subject.arrives(MANY)
      subject.arrived.forEach(({ payload }, number) => {
        expect(
          payload.equals(plain('message', number)),
          `message ${number} came in as ${show(payload)}: messages come in once each and in the order of the peer`,
        )
      })
    },
  },
  {
    name: 'says what it knows of a message: topic, key, headers',
    unless: [noSource],
    run: async ({ subject }) => {
      const emitted = await subject.emit(plain('message', 1))
      await subject.arrives(1)
      const message = subject.arrived[0]
      expect(message !== undefined, 'nothing arrived')
      for (const field of ['topic', 'key'] as const) {
        const expected = emitted[field]
        expect(
          expected === undefined || message[field] === expected,
          `the message's ${field} is '${message[field]}', the peer sent it with '${expected}'`,
        )
      }
      for (const [name, value] of Object.entries(emitted.headers ?? {})) {
        const there = message.headers[name]
        expect(there === value, `the message's header '${name}' is '${there}', the peer sent it with '${value}'`)
      }
      expect(
        Math.abs(Date.now() - message.time) < 60_000,
        `the message's time is ${message.time}: it is in milliseconds since 1970`,
      )
      expect(message.id !== '', 'the message has an empty id')
    },
  },
  {
    name: 'outlives payloads that are meant to hurt, as bytes',
    unless: [noSource],
    run: async ({ subject }) => outlives(subject),
  },
  {
    name: 'outlives payloads that are meant to hurt, as JSON',
    unless: [noSource],
    rig: { marshalling: 'marshal-json' },
    run: async ({ subject }) => outlives(subject),
  },
  {
    name: 'counts what comes in',
    unless: [noSource],
    run: async ({ subject }) => {
      const { counters } = subject.endpoint
      let bytes = 0
      for (let number = 1; number <= 10; number++) {
        const payload = plain('message', number)
        bytes += payload.length
        await subject.emit(payload)
        await subject.arrives(number)
        expect(counters.received === number, `after ${number} messages, the counter 'received' is ${counters.received}`)
        expect(counters.receivedBytes === bytes, `after ${bytes} bytes, 'receivedBytes' is ${counters.receivedBytes}`)
      }
    },
  },
  {
    name: 'takes nothing in any more once it is stopped',
    unless: [noSource],
    run: async ({ subject }) => {
      await subject.emit(plain('before', 1))
      await subject.arrives(1)
      await subject.endpoint.stop()
      const before = subject.incoming.length
      // The peer may well find nobody there to send to, and be told so: then all is well.
      const refused = await subject.emit(plain('after', 1)).then(
        () => false,
        () => true,
      )
      if (refused) return
      await delay(QUIET)
      expect(
        subject.incoming.length === before,
        'receive() was called after stop() had resolved: disconnect() ends whatever calls it',
      )
    },
  },
]

async function takesIn(subject: Subject, samples: readonly Sample[]): Promise<void> {
  for (const [index, { what, payload }] of samples.entries()) {
    await subject.emit(payload)
    await subject.arrives(index + 1)
    const arrived = subject.arrived[index]?.payload ?? Buffer.alloc(0)
    expect(arrived.equals(payload), `${what}: the peer sent ${show(payload)}, and ${show(arrived)} came in`)
  }
}

async function outlives(subject: Subject): Promise<void> {
  const { peer } = subject
  const samples = HOSTILE.filter(({ payload }) => peer.carries?.(payload) ?? true)
  for (const { what, payload } of samples) {
    // A peer may refuse to send such a thing.
    await subject.emit(payload).catch(() => {})
    await subject.works(`after ${what}`)
  }
  for (const { payload } of subject.arrived) {
    const isKnown = samples.some((sample) => sample.payload.equals(payload)) || isProbe(payload)
    expect(isKnown, `${show(payload)} came in, which nobody sent: what cannot be taken in as it is, is left out`)
  }
}
