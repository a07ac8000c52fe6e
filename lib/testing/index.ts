/**
 * Floor 6. `araldo/testing`: what an endpoint type must do, as tests for node:test. Every built-in type passes it; a
 * type of your own should.
 *
 *     import { testEndpoint } from 'araldo/testing'
 *     import type from './endpoint-tail.js'
 *
 *     testEndpoint({ type, createPeer: async () => ({ options, emit, received, outage }) })
 *
 * The guide is docs/writing-an-endpoint.md; a complete example is example/custom-endpoint.
 *
 * @packageDocumentation
 */
import { describe } from 'node:test'
import { register } from './check.ts'
import { definitionChecks } from './definition.ts'
import { lifeChecks } from './life.ts'
import type { EndpointTest } from './peer.ts'
import { settlingChecks } from './settling.ts'
import { sourceChecks } from './source.ts'
import { targetChecks } from './target.ts'

export type { Emitted, EndpointTest, OpenRelay, Outage, Owner, Peer, Received } from './peer.ts'

/**
 * Registers the tests. Call it at the top of a test file, or within `describe`. What the type does not declare, and what
 * the peer cannot do, is skipped and says so.
 */
export function testEndpoint(test: EndpointTest): void {
  describe(`${test.type.id} keeps the contract of an endpoint type`, () => {
    describe('its definition', () => register(test, definitionChecks))
    describe('its life', () => register(test, lifeChecks))
    describe('as a source', () => register(test, sourceChecks))
    describe('as a source that hears of its messages', () => register(test, settlingChecks))
    describe('as a target', () => register(test, targetChecks))
  })
}
