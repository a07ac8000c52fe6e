import type { WebSocketOptions } from '../../../lib/endpoints/websocket/index.ts'

/** The defaults of the schema, in bytes and milliseconds. */
export const DEFAULTS: WebSocketOptions = {
  path: '/ws',
  'max-payload': 64 * 1024,
  'max-connections': 10_000,
  'ping-interval': 25_000,
  'ping-timeout': 10_000,
  'on-invalid': 'close',
  echo: false,
  acknowledge: 'allowed',
  'max-in-flight': 256,
  'permessage-deflate': false,
  limit: 1024 * 1024,
  'write-timeout': 10_000,
}
