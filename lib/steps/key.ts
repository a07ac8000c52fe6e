/** Floor 1. Keys that are kept for a while: what a peer sent must not decide how much memory that takes. */
import { createHash } from 'node:crypto'

/** Characters of a key that is kept as it is. */
const MAX_KEY = 64

/** The key, or its digest where it is long. A digest is longer than any key that is kept as it is, so none is another's. */
export function boundedKey(key: string): string {
  return key.length <= MAX_KEY ? key : createHash('sha512').update(key).digest('base64url')
}
