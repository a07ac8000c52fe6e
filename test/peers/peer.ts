/** What the tests between brokers need of a peer beyond what the conformance suite does. */
import type { Emitted, Peer, Received } from '../../lib/testing/index.ts'

/** What a message of a peer has beside its payload, as far as its protocol has a place for it. */
export interface Extra {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A client of a broker, or of the relay, that is not araldo. It comes back by itself when the broker does. */
export interface InteropPeer extends Peer {
  /**
   * Resolves when the broker has confirmed, where its protocol can; else when the message is on its way. Rejects within
   * some seconds where it has not: whether the broker has the message is not known then.
   */
  emit(payload: Buffer, extra?: Extra): Promise<Emitted | void>
  /** All that has arrived since the peer was made, in order, across restarts of a broker that keeps it. */
  received(): readonly Received[] | Promise<readonly Received[]>
}
