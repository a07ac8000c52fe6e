/** An endpoint with clients that speak araldo.v1, and whose messages the test settles. */
import assert from 'node:assert/strict'
import { endpointWebSocket, type WebSocketOptions } from '../../../lib/endpoints/websocket/index.ts'
import type { Message } from '../../../lib/message.ts'
import type { Settle } from '../../../lib/types.ts'
import { connect, type TestClient } from '../../support/client.ts'
import { type StartedEndpoint, startEndpoint, type StartOptions } from '../../support/endpoint.ts'
import type { Owner } from '../../support/process.ts'
import { DEFAULTS } from './options.ts'

export const SESSION = '6f1f7f0e-8f5c-4c0c-9a55-2e5d5f0f8a11'

export interface Pending {
  readonly message: Message
  readonly settle: Settle
}

export interface Started extends StartedEndpoint {
  /** What came in and is not settled, in order. */
  readonly pending: Pending[]
  /** A client of araldo.v1. */
  open(path?: string): Promise<TestClient>
}

/** An endpoint whose messages the test settles; at once, where `settled` says so. */
export async function start(
  t: Owner,
  change: Partial<WebSocketOptions> = {},
  more: Partial<StartOptions> = {},
): Promise<Started> {
  const started = await startEndpoint(endpointWebSocket, { ...DEFAULTS, ...change }, { t, routed: false, ...more })
  const pending: Pending[] = []
  started.endpoint.bind((message, settle) => {
    assert.ok(settle !== undefined)
    pending.push({ message, settle })
  })
  const open = (path = '/ws'): Promise<TestClient> =>
    connect(`ws://${started.host}${path}`, { t, protocols: ['araldo.v1'] })
  return { ...started, pending, open }
}

export function messageOf(id: string, body: unknown = id): string {
  return JSON.stringify({ type: 'message', id, body })
}

/** What a client has been told by now. */
export async function told(client: TestClient): Promise<unknown[]> {
  await client.roundTrip()
  return client.drain().map((text) => JSON.parse(String(text)) as unknown)
}

export function settleAll(pending: Pending[], error: Error | null = null): void {
  for (const { settle } of pending.splice(0)) settle(error)
}
