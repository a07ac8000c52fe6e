/**
 * What is read off a running process, and how many figures become one. Linux only: CPU time and memory come from
 * `/proc`, as proc(5) describes it.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** `/proc/PID/stat` counts in these: USER_HZ is 100 on every Linux that Node runs on. */
const TICKS_A_SECOND = 100
/** Fields of `/proc/PID/stat`, counted from the one behind the command's closing parenthesis. */
const UTIME = 11
const STIME = 12

/** CPU seconds that a process has used in user and kernel mode, all of its threads together. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_A_SECOND
}

/**
 * The same in nanoseconds, of the threads that run now: for what takes less than a tick of {@link cpuSeconds} counts.
 * Source: the kernel's Documentation/scheduler/sched-stats.rst, `/proc/PID/schedstat`.
 */
export function cpuNanoseconds(pid: number): number {
  let total = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0])
  }
  return total
}

/**
 * CPU seconds that all processes of the machine have used. Without what the kernel does in interrupts: it is nobody's,
 * and {@link cpuSeconds} does not have it either.
 */
export function busySeconds(): number {
  const [, user, nice, system] = readFileSync('/proc/stat', 'utf8').split(/\s+/, 4)
  return (Number(user) + Number(nice) + Number(system)) / TICKS_A_SECOND
}

/** Memory of a process that is in RAM (KiB). */
export function residentKiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const [, kiB] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  if (kiB === undefined) throw new Error(`process ${pid} has no resident memory: it has ended`)
  return Number(kiB)
}

/** The middle one; the mean of the two in the middle where their number is even. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper
}

/** Each power of two is split into this many buckets (as a power of two), so that a figure is right to 3 %. */
const SPLIT = 5
const BUCKETS = (32 - SPLIT + 1) << SPLIT

/** Counts of durations from 0 to 2^31 µs, in a fixed 7 KiB, for millions of records a second. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0

  /** @param microseconds a whole number; negative ones (clocks of two threads) count as 0. */
  record(microseconds: number): void {
    const value = microseconds < 0 ? 0 : microseconds | 0
    const shift = Math.max(0, 31 - Math.clz32(value) - SPLIT)
    const bucket = (shift << SPLIT) + (value >>> shift)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#total++
  }

  get total(): number {
    return this.#total
  }

  /** @param share 0.99 for the 99th percentile. @returns milliseconds, NaN where nothing was recorded. */
  percentile(share: number): number {
    if (this.#total === 0) return Number.NaN
    let left = Math.max(1, Math.ceil(share * this.#total))
    let bucket = -1
    while (left > 0) left -= this.#counts[++bucket] as number
    return middleOf(bucket) / 1_000
  }

  clear(): void {
    this.#counts.fill(0)
    this.#total = 0
  }
}

/** Values below 2 << SPLIT have buckets of their own; then `shift` grows by one with each power of two. */
function middleOf(bucket: number): number {
  const shift = Math.max(0, (bucket >>> SPLIT) - 1)
  const low = (bucket - (shift << SPLIT)) * 2 ** shift
  return low + (2 ** shift - 1) / 2
}
