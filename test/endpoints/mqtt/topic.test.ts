import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { filterProblem, matches, mayMatch } from '../../../lib/endpoints/mqtt/filters.ts'
import { topicProblem } from '../../../lib/endpoints/mqtt/topic.ts'
import { reconnecting } from '../../peers/mqtt.ts'
import { startMosquitto } from '../../support/mosquitto.ts'
import { need } from '../../support/require.ts'
import { until } from '../../support/wait.ts'
import { startMqtt } from './support.ts'

/** Text of every kind, with much of what means something to MQTT. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom('a', '/', '+', '#', '$', '\0', '\n', '\u0085', '\ud800', '\ufffe', 'ü'),
    maxLength: 6,
  }),
)

describe('a topic that data decides', () => {
  test('is refused, or is the topic that the broker delivers; never does it end the connection', async (t) => {
    const skip = need('mosquitto')
    if (skip !== false) return t.skip(skip)
    const mosquitto = await startMosquitto({ t })
    const { send, endpoint } = await startMqtt(t, { url: mosquitto.url, topic: 'data/{topic}/end' })
    const client = await reconnecting(mosquitto)
    t.after(() => client.end(true))
    const topics: string[] = []
    client.on('message', (topic) => void topics.push(topic))
    await client.subscribeAsync('#', { qos: 1 })
    const expected: string[] = []
    await fc.assert(
      fc.asyncProperty(text, async (topic) => {
        const error = await send('x', { topic })
        if (error === null) expected.push(`data/${topic}/end`)
        else assert.match(String((error as { code?: string }).code), /^ARALDO_ERR_TOPIC_INVALID$/)
        return endpoint.state === 'up'
      }),
      { numRuns: 300 },
    )
    assert.equal(endpoint.counters.connects, 1)
    await until(() => topics.length >= expected.length)
    assert.deepEqual(topics, expected)
  })

  test('holds no wildcard, no control character, and is no topic of the broker', () => {
    for (const topic of ['', '+', 'a/#', 'a+b', '$SYS/broker', 'a\0', 'a\tb', 'x'.repeat(65_536), 'ü'.repeat(32_768)]) {
      assert.equal(typeof topicProblem(topic, false), 'string', topic.slice(0, 20))
    }
    for (const topic of ['a', '/', 'a//b', 'a/$b', 'ü'.repeat(32_767), 'Grüß Gott/日本語/🐘']) {
      assert.equal(topicProblem(topic, false), undefined, topic.slice(0, 20))
    }
    assert.equal(topicProblem('$SYS/x', true), undefined)
  })

  test('takes one level for a value, and several for the topic of the message alone', async (t) => {
    const skip = need('mosquitto')
    if (skip !== false) return t.skip(skip)
    const mosquitto = await startMosquitto({ t })
    const { send } = await startMqtt(t, { url: mosquitto.url, topic: 'a/{key}/{topic}' })
    assert.equal(await send('x', { key: 'k', topic: 'b/c' }), null)
    assert.match(String(await send('x', { key: 'k/l', topic: 'b/c' })), /separator or a wildcard/)
  })
})

describe('a topic filter', () => {
  test('has wildcards as whole levels', () => {
    for (const filter of ['#', '+', 'a/#', '+/a/+', '/', '$SYS/#', 'a//b'])
      assert.equal(filterProblem(filter), undefined)
    for (const filter of ['', 'a#', '#/a', 'a/b+', '$share/g/a', 'a\0']) {
      assert.equal(typeof filterProblem(filter), 'string', filter)
    }
  })

  test('matches as the specification has it', () => {
    for (const [filter, topic] of [
      ['sport/#', 'sport'],
      ['sport/#', 'sport/a/b'],
      ['+', 'a'],
      ['/+', '/a'],
      ['+/+', '/a'],
      ['a/+/c', 'a//c'],
      ['$SYS/#', '$SYS/a'],
    ] as const) {
      assert.ok(matches(filter, topic), `${filter} ${topic}`)
    }
    for (const [filter, topic] of [
      ['+', '/a'],
      ['sport/+', 'sport'],
      ['#', '$SYS/a'],
      ['+/a', '$SYS/a'],
      ['a', 'a/b'],
      ['a/b', 'a'],
    ] as const) {
      assert.ok(!matches(filter, topic), `${filter} ${topic}`)
    }
  })

  test('is found to match what a template may make, whatever that is', () => {
    const level = fc.constantFrom('a', 'b', 'ab', '')
    const filters = fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 })
    const parts = fc.array(fc.oneof(level, fc.constant('{topic}'), fc.constant('a{key}b')), {
      minLength: 1,
      maxLength: 4,
    })
    fc.assert(
      fc.property(
        filters,
        fc.boolean(),
        parts,
        fc.constantFrom('a', 'a/b', '/', 'b'),
        level,
        (levels, all, made, topic, key) => {
          const filter = [...levels, ...(all ? ['#'] : [])].join('/')
          const template = made.join('/')
          const rendered = template.replaceAll('{topic}', topic).replaceAll('{key}', key)
          return mayMatch(filter, template) || !matches(filter, rendered)
        },
      ),
    )
    assert.equal(mayMatch('orders/+/new', 'orders/{key}/new'), true)
    assert.equal(mayMatch('orders/+/new', 'orders/{key}/paid'), false)
    assert.equal(mayMatch('orders/#', 'parcels/{key}'), false)
  })
})
