/** Any sequence of what a lane, a crash and a disk can do to a journal, against a plain map of records. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Journal } from '../../lib/journal/journal.ts'
import { report, scaled } from '../faults/support/scale.ts'
import { temporaryFolder } from '../support/process.ts'
import { SimulatedDisk } from './disk.ts'
import { randomOf, recordOf } from './rig.ts'

const RUNS = scaled(150, 3_000)

type Command =
  | { readonly kind: 'append'; readonly size: number; readonly skip: boolean }
  | { readonly kind: 'done'; readonly at: number }
  | { readonly kind: 'read'; readonly maxMessages: number; readonly maxBytes: number }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'settle' | 'reopen' | 'kill' }
  | { readonly kind: 'losePower'; readonly seed: number }
  | { readonly kind: 'failSyncs' | 'failWrites'; readonly count: number }
  | { readonly kind: 'fill'; readonly room: number }

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('append'), size: fc.nat(400), skip: fc.boolean() }) },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('done'), at: fc.nat() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('read'),
      maxMessages: fc.integer({ min: 1, max: 8 }),
      maxBytes: fc.integer({ min: 1, max: 2000 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('turns'), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('settle', 'reopen', 'kill') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('losePower'), seed: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('failSyncs', 'failWrites'), count: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fill'), room: fc.nat(600) }) },
) as fc.Arbitrary<Command>

/**
 * - `kept`: pending, must be handed out.
 * - `doubtful`: a crash may have lost it, or have forgotten that it was done.
 * - `done`: must not be handed out, as long as nothing crashes.
 */
type Status = 'kept' | 'doubtful' | 'done'

class Rig {
  disk = new SimulatedDisk()
  readonly #folder = temporaryFolder('journal')
  #journal: Journal | undefined
  /** Of each record that the journal may have. */
  readonly #status = new Map<number, { content: Buffer; status: Status }>()
  #announced = 0
  /** Syncs and writes that will fail. */
  #syncs = 0
  #writes = 0
  #isDead = false

  get journal(): Journal {
    return this.#journal as Journal
  }

  async open(): Promise<void> {
    this.#isDead = false
    this.#syncs = this.#writes = 0
    this.disk.capacity = Infinity
    this.disk.fault = (operation) => {
      if (this.#isDead) return new Error('dead')
      if (operation === 'sync' && this.#syncs > 0) return this.#syncs-- > 0 ? new Error('EIO: sync') : undefined
      if (operation === 'write' && this.#writes > 0) return this.#writes-- > 0 ? new Error('EIO: write') : undefined
      return undefined
    }
    const { disk } = this
    this.#journal = await Journal.open({
      path: this.#folder,
      maxBytes: 20_000,
      segmentBytes: 1_000,
      files: disk,
      random: () => 0,
      onDurable: (through) => {
        if (this.#isDead || this.disk !== disk) return
        assert.ok(through > this.#announced && through < this.journal.next)
        this.#announced = through
      },
    })
    assert.equal(this.journal.recovery.lost, 0)
    assert.ok(this.journal.next > this.#announced, 'a sequence that was announced is used again')
    // What was never announced may be gone, and its sequence be used again.
    for (const sequence of this.#status.keys()) if (sequence >= this.journal.next) this.#status.delete(sequence)
    this.#announced = this.journal.next - 1
    const statuses = [...this.#status.values()].map(({ status }) => status)
    const kept = statuses.filter((status) => status === 'kept').length
    const doubtful = statuses.filter((status) => status === 'doubtful').length
    const { pending } = this.journal
    assert.ok(kept <= pending && pending <= kept + doubtful, `${kept} <= ${pending} <= ${kept + doubtful}`)
  }

  async run(step: Command): Promise<void> {
    const { journal } = this
    switch (step.kind) {
      case 'append':
        return this.#append(step.size, step.skip)
      case 'done': {
        const all = [...this.#status.keys()]
        const sequence = all[step.at % Math.max(1, all.length)]
        if (sequence === undefined) return
        journal.done(sequence)
        ;(this.#status.get(sequence) as { status: Status }).status = 'done'
        return
      }
      case 'read':
        await this.#read(step.maxMessages, step.maxBytes)
        return
      case 'turns':
        return turns(step.count)
      case 'settle':
        return this.#settle()
      case 'reopen':
        await this.#settle()
        await journal.close()
        assert.deepEqual(this.disk.opened, [], 'files stay open')
        return this.open()
      case 'kill':
        return this.#crash(() => undefined)
      case 'losePower':
        return this.#crash(() => this.disk.losePower(randomOf(step.seed)))
      case 'failSyncs':
        this.#syncs = step.count
        return
      case 'failWrites':
        this.#writes = step.count
        return
      case 'fill':
        this.disk.capacity = this.disk.used + step.room
        return
    }
  }

  /** Whatever has happened: all that is left is handed out. */
  async end(): Promise<void> {
    await this.run({ kind: 'reopen' })
    while ((await this.#read(5, 1_000)) > 0);
    assert.equal(this.journal.cursor, this.journal.next)
    for (const sequence of this.#status.keys()) this.journal.done(sequence)
    assert.equal(this.journal.pending, 0)
    while (!this.journal.fits(15_000)) await turns(1)
    this.journal.append(recordOf(1, 15_000))
    await this.#settle()
    assert.equal(this.journal.pending, 1)
    await this.journal.close()
  }

  #append(size: number, skip: boolean): void {
    const { journal } = this
    const content = recordOf(journal.next + this.#status.size, size)
    if (!journal.fits(size)) {
      assert.throws(() => journal.append(content), /ARALDO_ERR_JOURNAL_(FULL|FAILED)/)
      return
    }
    const sequence = journal.append(content)
    this.#status.set(sequence, { content, status: 'kept' })
    if (skip && journal.cursor === sequence) journal.skip()
  }

  async #read(maxMessages: number, maxBytes: number): Promise<number> {
    const { journal } = this
    const from = journal.cursor
    const records = await journal.read({ maxMessages, maxBytes })
    const to = journal.cursor
    assert.ok(records.length <= maxMessages)
    for (const { sequence, record } of records) {
      const known = this.#status.get(sequence)
      assert.ok(known !== undefined && known.status !== 'done', `record ${sequence} is handed out`)
      assert.deepEqual(record, known.content)
      known.status = 'kept'
    }
    const expected = [...this.#status].filter(([sequence, { status }]) => {
      return sequence >= from && sequence < to && status === 'kept'
    })
    assert.deepEqual(
      records.map(({ sequence }) => sequence),
      expected.map(([sequence]) => sequence),
    )
    return records.length
  }

  async #settle(): Promise<void> {
    this.disk.capacity = Infinity
    this.#syncs = this.#writes = 0
    const { journal } = this
    while (journal.durable < journal.next - 1 || journal.state === 'failed') await turns(1)
    assert.equal(this.#announced, journal.durable)
  }

  async #crash(damage: () => void): Promise<void> {
    this.#isDead = true
    const { disk } = this
    await this.journal.close()
    // What the dead one still holds of the disk is no concern of the next.
    damage()
    this.disk = disk
    for (const [sequence, known] of this.#status) {
      if (known.status === 'done' || sequence > this.#announced) known.status = 'doubtful'
    }
    disk.opened = []
    await this.open()
  }
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setTimeout(resolve, 0))
}

describe('any sequence of events', () => {
  test(
    'leaves a journal with what was announced and is not done, and with nothing else',
    { timeout: scaled(170_000, 3_600_000) },
    async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 80, size: 'max' }), async (commands) => {
          const rig = new Rig()
          await rig.open()
          for (const step of commands) await rig.run(step)
          await rig.end()
        }),
        {
          numRuns: RUNS,
          includeErrorInReport: true,
          timeout: 30_000,
          // Also of looking for a shorter sequence.
          interruptAfterTimeLimit: scaled(120_000, 3_000_000),
          markInterruptAsFailure: true,
        },
      )
      report(t, { sequences: RUNS })
    },
  )
})
