/**
 * A process that appends to a journal as fast as it can, until it is killed: `appender.ts PATH [hold]`.
 *
 * Writes `open` when it has the journal. Then, before it does anything else, `durable N` when everything up to N is
 * durable, and `done N` when it is going to say that everything up to N is done. Of every third record it says so as
 * soon as it is durable, of some before. With `hold` it does nothing.
 */
import { writeSync } from 'node:fs'
import { Journal } from '../../lib/journal/journal.ts'
import { recordOf } from './rig.ts'

const [path = '', mode] = process.argv.slice(2)
const IN_FLIGHT = 200
const MAX_BYTES = 32 * 1024 * 1024
/** So many are kept. */
const BACKLOG = 1_000

let durable = 0
let done = 0
const journal = await Journal.open({
  path,
  maxBytes: MAX_BYTES,
  segmentBytes: 256 * 1024,
  onDurable: (through) => {
    writeSync(1, `durable ${through}\n`)
    for (; durable < through; durable++) if (durable % 3 === 0) journal.done(durable)
  },
})
durable = journal.next - 1
writeSync(1, 'open\n')

if (mode === 'hold') setInterval(() => undefined, 1000)
else append()

function append(): void {
  // Sizes from nothing to a few kilobytes; now and then one that was delivered before it is durable.
  while (journal.next - journal.durable < IN_FLIGHT) {
    const sequence = journal.append(recordOf(journal.next, (journal.next * 37) % 3000))
    if (sequence % 30 === 0) journal.done(sequence)
  }
  if (durable - done > 2 * BACKLOG) {
    const through = durable - BACKLOG
    writeSync(1, `done ${through}\n`)
    for (; done < through; done++) journal.done(done + 1)
  }
  setImmediate(append)
}
