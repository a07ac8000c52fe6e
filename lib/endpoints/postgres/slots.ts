/**
 * Floor 3. How relays share a table: its rows fall into slots by their key, and a slot is read by the one relay that
 * holds its lock.
 *
 * The locks are advisory ones, of the session: no transaction is open while rows are in hand, so that vacuum is not held
 * up and each row is settled for itself; no column of the table is written to take a row; and the locks are gone at the
 * moment at which the connection is, whoever was killed. As all rows of a key are of one slot, order per key holds across
 * relays. FOR UPDATE SKIP LOCKED has none of the first two and no order; a column with a lease has no order, writes each
 * row once more, and a crash is waited for.
 *
 * Who else is there is known by another lock, which each that reads holds a share of. Each holds as many slots as is its
 * part; what it has too many of it leaves when it has no row of them in hand.
 *
 * Source: PostgreSQL, "Advisory Locks", "pg_locks".
 */
import type { Hands } from './hands.ts'
import type { Session } from './session.ts'

export const SLOTS = 16

/**
 * The slot of a row, in SQL. An index may be made of it: it depends on the row alone.
 * @param id the column; each row without a key is of a slot by its id.
 */
export function slotOf(id: string, key: string | undefined): string {
  const value = key === undefined ? `${id}::text` : `coalesce(${key}::text, ${id}::text)`
  return `((hashtextextended(${value}, 0) & ${SLOTS - 1})::integer)`
}

const KEYS = "SELECT hashtextextended(format('araldo %s %s', $1::text, n), 0)::text FROM generate_series(0, $2::int) n"
const MEMBERS = `SELECT count(*)::text FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND classid = (($1::bigint >> 32) & 4294967295)::oid AND objid = ($1::bigint & 4294967295)::oid`

export class Slots {
  readonly #session: Session
  readonly #hands: Hands
  /** Keys of the slots' locks, and of the members'. As text: they have 64 bits. */
  readonly #keys: readonly string[]
  readonly #held = new Set<number>()
  /** Held still, and read no more. */
  readonly #leaving = new Set<number>()
  #isMember = false

  private constructor(session: Session, hands: Hands, keys: readonly string[]) {
    this.#session = session
    this.#hands = hands
    this.#keys = keys
  }

  /** @param table its {@link Table.id}. */
  static async of(session: Session, hands: Hands, table: string): Promise<Slots> {
    const rows = await session.query(KEYS, [table, SLOTS])
    return new Slots(
      session,
      hands,
      rows.map(([key]) => String(key)),
    )
  }

  /** To be read. */
  get open(): number[] {
    return [...this.#held].filter((slot) => !this.#leaving.has(slot))
  }

  /** How many are held, those that are left included. */
  get count(): number {
    return this.#held.size
  }

  /**
   * Takes what is its part, and leaves what is not.
   * @param wants whether this relay reads at all at this moment: else it leaves all that it can.
   * @returns whether there are slots now that there were not.
   * @throws Error when the connection is of no more use.
   */
  async balance(wants: boolean): Promise<boolean> {
    await this.#join(wants)
    const share = wants ? Math.ceil(SLOTS / Math.max(1, await this.#members())) : 0
    await this.#leave(share)
    return this.#take(share)
  }

  async #join(wants: boolean): Promise<void> {
    if (wants === this.#isMember) return
    const lock = wants ? 'pg_try_advisory_lock_shared' : 'pg_advisory_unlock_shared'
    await this.#session.query(`SELECT ${lock}($1)`, [this.#keys[SLOTS]])
    this.#isMember = wants
  }

  async #members(): Promise<number> {
    const rows = await this.#session.query(MEMBERS, [this.#keys[SLOTS]])
    return Number(rows[0]?.[0])
  }

  async #leave(share: number): Promise<void> {
    this.#leaving.clear()
    // First those that it can leave at once.
    const byHands = [...this.#held].toSorted((one, other) => this.#hands.ofSlot(one) - this.#hands.ofSlot(other))
    for (const slot of byHands.slice(0, Math.max(0, this.#held.size - share))) this.#leaving.add(slot)
    const idle = [...this.#leaving].filter((slot) => this.#hands.ofSlot(slot) === 0)
    if (idle.length === 0) return
    await this.#session.query('SELECT pg_advisory_unlock(key) FROM unnest($1::bigint[]) AS locks(key)', [
      idle.map((slot) => this.#keys[slot]),
    ])
    for (const slot of idle) {
      this.#held.delete(slot)
      this.#leaving.delete(slot)
    }
  }

  /** Not more than it wants at one time: what it had too many of would be missing elsewhere for a moment. */
  async #take(share: number): Promise<boolean> {
    const before = this.#held.size
    // From anywhere, so that two that begin together do not try the same ones.
    const start = Math.floor(Math.random() * SLOTS)
    const others = Array.from({ length: SLOTS }, (_, index) => (start + index) % SLOTS)
    const free = others.filter((slot) => !this.#held.has(slot))
    while (this.#held.size < share && free.length > 0) {
      const tried = free.splice(0, share - this.#held.size)
      const rows = await this.#session.query(
        'SELECT slot::text FROM unnest($1::int[], $2::bigint[]) AS slots(slot, key) WHERE pg_try_advisory_lock(key)',
        [tried, tried.map((slot) => this.#keys[slot])],
      )
      for (const [slot] of rows) this.#held.add(Number(slot))
    }
    return this.#held.size > before
  }
}
