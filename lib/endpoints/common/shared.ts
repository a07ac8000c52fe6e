/** Floor 3. A connection that several hold: open for as long as anybody does. */
import { createHash } from 'node:crypto'

/** What a last holder ends. */
export interface Connection {
  close(): void | Promise<void>
}

/** One holder's part in a connection. */
export interface Lease<Held extends Connection> {
  readonly connection: Held
  /** The last holder closes the connection, and waits for that. The second call does nothing. */
  release(): Promise<void>
}

/** At most one connection at a time. One that was lost is forgotten: who holds next opens another. */
export class Shared<Held extends Connection> {
  readonly #create: (onLost: (error: Error) => void) => Held
  #current: { readonly connection: Held; readonly holders: Set<Holder> } | undefined

  constructor(create: (onLost: (error: Error) => void) => Held) {
    this.#create = create
  }

  /** @param onLost called once when the connection is lost, unless it was released before. */
  hold(onLost: (error: Error) => void): Lease<Held> {
    const current = (this.#current ??= this.#new())
    const holder = { onLost }
    current.holders.add(holder)
    return {
      connection: current.connection,
      release: async () => {
        if (!current.holders.delete(holder) || current.holders.size > 0) return
        if (this.#current === current) this.#current = undefined
        await current.connection.close()
      },
    }
  }

  #new(): { connection: Held; holders: Set<Holder> } {
    const holders = new Set<Holder>()
    const connection = this.#create((error) => {
      if (this.#current?.connection === connection) this.#current = undefined
      // Who is told may release its own, or another's.
      for (const holder of holders) holder.onLost(error)
    })
    return { connection, holders }
  }
}

interface Holder {
  readonly onLost: (error: Error) => void
}

/** The same for endpoints that can share a connection. A hash, because passwords are part of it. */
export function identityOf(values: readonly unknown[]): string {
  const text = JSON.stringify(values.map((value) => value ?? null))
  return createHash('sha256').update(text).digest('base64url')
}
