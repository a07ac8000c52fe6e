/** CloudEvents over HTTP, in both modes: cloudevents/bindings/http-protocol-binding.md. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { marshalCloudEvents } from '../../../lib/marshallers/cloudevents/index.ts'
import { post, startSource } from './support.ts'

test('an event comes in structured, and with its attributes in headers', async (t) => {
  const marshaller = await marshalCloudEvents.create({ mode: 'binary', type: 'x' }, '/')
  const { url, incoming } = await startSource(t, {}, { marshaller })
  const event = { specversion: '1.0', id: 'a', source: '/s', type: 't', data: { n: 1 } }
  const type = 'application/cloudevents+json; charset=utf-8'
  assert.equal((await post(url, JSON.stringify(event), { type })).status, 200)
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'b', 'ce-source': '/s', 'ce-type': 't' }
  assert.equal((await post(url, '{"n":2}', { headers })).status, 200)
  assert.equal((await post(url, 'plain', { headers, type: 'text/plain' })).status, 200)
  assert.deepEqual(
    incoming.map(({ message }) => [message.headers['ce-type'], message.body]),
    [
      ['t', { n: 1 }],
      ['t', { n: 2 }],
      ['t', 'plain'],
    ],
  )
  assert.equal((await post(url, '{"n":2}')).status, 415)
  assert.equal((await post(url, '{"n":2}', { type })).status, 422)
  assert.equal((await post(url, '1', { headers: { 'ce-specversion': '9' } })).status, 422)
})
