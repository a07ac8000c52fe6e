/** Where messages come from and go to: what a benchmark of bridges must be able to do with each kind of broker. */

/** What a relay is told of a place. */
export interface Place {
  /** The endpoint, without its name, as araldo's config has it. */
  readonly endpoint: object
  /** The options of the loop by hand, for `byhand/<kind>.mjs`. */
  readonly byHand: object
}

export interface Source extends Place {
  /** Adds messages; resolves when the broker has them. @param first the number of the first one. */
  send(first: number, count: number): Promise<void>
  /** Messages that the relay has not acknowledged; undefined where nobody can tell. */
  left(): Promise<number | undefined>
}

export interface Target extends Place {
  /** Messages that have arrived so far, those that came twice included. Cheap. */
  arrived(): Promise<number>
}

/** A running broker. */
export interface Broker {
  /** A place of its own that holds nothing. */
  source(name: string, keys: number): Promise<Source>
  target(name: string): Promise<Target>
  close(): Promise<void>
}

/** Something that messages are taken from and given to. */
export interface Kind {
  readonly name: string
  readonly title: string
  /** Acknowledges and confirms; the others lose what nobody takes from them at once. */
  readonly isSafe: boolean
  /** False for what is a target alone. */
  readonly isSource?: false
  /** The part of the messages that it is measured with; all of them if left out. */
  readonly share?: number
  /** The program that it needs, where it needs one. */
  readonly program?: string
  open(): Promise<Broker>
}
