import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import { MockEndpoint, type MockOptions } from '../../lib/endpoints/mock.ts'
import { Message } from '../../lib/message.ts'
import { contextOf, counting, recordingLog } from '../support/core.ts'

const started: MockEndpoint[] = []

afterEach(async () => {
  mock.timers.reset()
  await Promise.all(started.splice(0).map((endpoint) => endpoint.stop()))
})

/** Makes mocks that share what the endpoints of one relay share. */
function relay() {
  const shared = new Map<string, unknown>()
  return (options: Partial<MockOptions> = {}, name = 'mock'): { endpoint: MockEndpoint; heard: Message[] } => {
    const { log } = recordingLog()
    const endpoint = new MockEndpoint({
      ...contextOf(name, { log }),
      options: { messages: [], keep: 100, ...options },
      shared: <Value>(key: string, create: () => Value): Value => {
        if (!shared.has(key)) shared.set(key, create())
        return shared.get(key) as Value
      },
    })
    const heard: Message[] = []
    endpoint.bind((each) => void heard.push(each))
    endpoint.start()
    started.push(endpoint)
    return { endpoint, heard }
  }
}

function message(body: unknown): Message {
  return new Message({ source: 'in', marshaller: counting(), body, topic: 't', key: 'k', headers: { a: '1' } })
}

describe('a mock as a source', () => {
  it('emits its messages once when it is told to begin, in order', () => {
    const { endpoint, heard } = relay()({ messages: [1, { a: 'b' }, null], channel: 'c' })
    assert.equal(heard.length, 0)
    endpoint.emit()
    assert.deepEqual(
      heard.map(({ body, topic }) => [body, topic]),
      [
        [1, 'c'],
        [{ a: 'b' }, 'c'],
        [null, 'c'],
      ],
    )
  })

  it('emits them round and round where it has an interval, until it quiesces', async () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { endpoint, heard } = relay()({ messages: [1, 2], interval: 100 })
    endpoint.emit()
    mock.timers.tick(350)
    assert.deepEqual(
      heard.map(({ body }) => body),
      [1, 2, 1],
    )
    await endpoint.pause()
    mock.timers.tick(1_000)
    assert.equal(heard.length, 3)
  })

  it('emits nothing when it has nothing to say, or is closed', async () => {
    const make = relay()
    const silent = make({ interval: 1 })
    silent.endpoint.emit()
    const closed = make({ messages: [1], interval: 1 })
    await closed.endpoint.stop()
    closed.endpoint.emit()
    assert.equal(silent.heard.length + closed.heard.length, 0)
  })
})

describe('a mock as a target', () => {
  it('keeps what it was sent, payload and all, the newest at the end', () => {
    const { endpoint } = relay()({ keep: 3 })
    assert.equal(endpoint.kept.length, 0)
    const first = message('a')
    endpoint.send(first)
    const { id, time } = first
    const payload = Buffer.from('"a"')
    assert.deepEqual(endpoint.kept, [{ id, time, source: 'in', topic: 't', key: 'k', headers: { a: '1' }, payload }])
    for (const body of ['b', 'c', 'd', 'e']) endpoint.send(message(body))
    assert.deepEqual(
      endpoint.kept.map((kept) => kept.payload.toString()),
      ['"c"', '"d"', '"e"'],
    )
  })

  it('keeps nothing where it is told to', () => {
    const { endpoint } = relay()({ keep: 0 })
    endpoint.send(message('a'))
    assert.deepEqual(endpoint.kept, [])
  })

  it('refuses what its marshaller cannot encode', () => {
    const { endpoint } = relay()()
    assert.throws(() => endpoint.send(message(undefined)), { code: 'ARALDO_ERR_UNENCODABLE' })
  })
})

describe('mocks of one channel', () => {
  it('hear one another, but not themselves, and not other channels', () => {
    const make = relay()
    const [a, b, c] = [make({ channel: 'x' }, 'a'), make({ channel: 'x' }, 'b'), make({ channel: 'x' }, 'c')]
    const other = make({ channel: 'y' }, 'd')
    const none = make({}, 'e')
    const sent = message('hi')
    a.endpoint.send(sent)
    for (const { heard } of [b, c]) {
      assert.equal(heard.length, 1)
      const [{ id, topic, key, headers, time, payload }] = heard as [Message]
      assert.deepEqual([id, topic, key, headers, time], [sent.id, 't', 'k', { a: '1' }, sent.time])
      assert.equal(payload.toString(), '"hi"')
    }
    assert.deepEqual([a.heard, other.heard, none.heard], [[], [], []])
    assert.equal(b.heard[0]?.source, 'b')
  })

  it('do not hear anything any more when they are closed', async () => {
    const make = relay()
    const [a, b] = [make({ channel: 'x' }), make({ channel: 'x' })]
    await b.endpoint.stop()
    a.endpoint.send(message('hi'))
    assert.equal(b.heard.length, 0)
  })
})
