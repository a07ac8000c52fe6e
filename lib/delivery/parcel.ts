/** Floor 1. A message in a lane: who waits for it, what its order is kept by, and how much it counts for. */
import type { Marshaller, Message } from '../message.ts'

/** Waits for the required lanes of one message and then settles its source, once. */
export interface Settlement {
  /**
   * One lane has come to its end with the message.
   * @param as how, where that is well and the target does not have it.
   */
  settle(error: Error | null, as?: SettledAs): void
}

/** `stored`: a journal has it, and will deliver it whatever happens to the process. */
export type SettledAs = 'filtered' | 'dead-lettered' | 'expired' | 'stored'

/** A message in a lane, and who wants to know what becomes of it. */
export interface Parcel {
  readonly message: Message
  readonly settlement: Settlement | undefined
  /** The topic that it came from: what order is kept by where it has no key. */
  readonly from: string
  /** The step that failed for it, after others: see `Failure.step`. */
  readonly failedIn?: string | undefined
  /** Its record in the lane's journal, where it has one. */
  readonly sequence?: number
}

/**
 * Bytes that a message counts for: the larger of what came and what is sent, and its text, which a peer may make as long.
 * @param marshaller of the target, which is about to ask for its bytes: the message keeps them.
 * @throws ARALDO_ERR_UNDECODABLE, ARALDO_ERR_UNENCODABLE
 */
export function sizeOf(message: Message, marshaller?: Marshaller): number {
  const encoded = marshaller === undefined ? 0 : message.encode(marshaller).length
  let text = message.topic.length + (message.key?.length ?? 0)
  for (const name in message.headers) text += name.length + (message.headers[name] as string).length
  return Math.max(encoded, message.byteLength) + text
}
