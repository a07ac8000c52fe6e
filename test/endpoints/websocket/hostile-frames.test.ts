/** Thousands of frames that are nearly of araldo.v1: each is answered, not heard, or ends its client; nothing grows. */
import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { test } from 'node:test'
import { errors } from '../../../lib/errors.ts'
import { connect } from '../../support/client.ts'
import { until, within } from '../../support/wait.ts'
import { messageOf, start, type Started, told } from './acknowledging.ts'
import { connectRaw, encodeFrame, OPCODES, type RawClient } from './raw.ts'

const HEADERS = ['Sec-WebSocket-Protocol: araldo.v1']

function pick<Value>(...values: readonly Value[]): Value {
  return values[randomInt(values.length)] as Value
}

const values: (() => string)[] = [
  () => '"message"',
  () => '"session"',
  () => `"${randomInt(20)}"`,
  () => `"${randomBytes(randomInt(200)).toString('hex')}"`,
  () => '"\\ud800\\u0000"',
  () => pick('null', 'true', '1e999', '-0', '[]', '{}', '""', '"\ufeff"', '\ufeff1', 'NaN', ''),
  () => '['.repeat(randomInt(20_000)),
  () => '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  () => '{"connection_id":"x","param_room":"y","araldo-hops":"z"}',
  () => `{${Array.from({ length: randomInt(60) }, (_, number) => `"h${number}":"v"`).join(',')}}`,
]
const names = ['type', 'id', 'key', 'headers', 'body', 'text', 'base64', 'session', 'topic', '__proto__', 't\\u0079pe']

function frame(): string {
  if (pick(true, false)) return messageOf(String(randomInt(20)))
  const members = Array.from({ length: randomInt(6) }, () => `"${pick(...names)}":${pick(...values)()}`)
  const valid = pick(['"type":"message"', `"id":"${randomInt(20)}"`, '"body":1'], ['"type":"message"', '"id":"7"'], [])
  const text = `{${[...valid, ...members].join(',')}}`
  switch (randomInt(6)) {
    case 0:
      return text.slice(0, randomInt(text.length + 1))
    case 1:
      return `${text}${pick(' ', ',', '}', text, '\u0000')}`
    case 2:
      return text
        .split('')
        .map((letter) => (randomInt(40) === 0 ? pick('"', '{', ',', ':', '\\', ' ') : letter))
        .join('')
    default:
      return text
  }
}

async function pester(client: RawClient): Promise<number> {
  const frames = randomInt(1, 30)
  for (let sent = 1; sent <= frames; sent++) {
    if (!client.socket.writable) return sent - 1
    client.write(encodeFrame(frame(), { opcode: randomInt(50) === 0 ? OPCODES.binary : OPCODES.text }))
    if (randomInt(4) === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return frames
}

async function storm({ host, send }: Started, frames: number): Promise<void> {
  let left = frames
  const pesterer = async (): Promise<void> => {
    while (left > 0) {
      const client = await connectRaw(`ws://${host}/ws`, { headers: HEADERS })
      left -= await pester(client)
      if (pick(true, false)) client.socket.end()
      else client.socket.destroy()
      await within(client.ended, { timeout: 15_000 })
      for (const { payload, opcode } of client.frames) if (opcode === OPCODES.text) JSON.parse(payload.toString())
      send('meanwhile')
    }
  }
  await Promise.all(Array.from({ length: 10 }, pesterer))
}

for (const onInvalid of ['close', 'drop'] as const) {
  test(`3,000 fuzzed frames with on-invalid: ${onInvalid}`, { timeout: 120_000 }, async (t) => {
    const started = await start(t, { 'on-invalid': onInvalid, 'max-in-flight': 4, 'ping-interval': 50 })
    const { endpoint, host, open } = started
    // Settled now or later, by whatever, and sometimes twice.
    endpoint.bind((message, settle) => {
      assert.notEqual(message.headers.connection_id, 'x')
      const end = (): void => settle?.(pick(null, null, new errors.OVERFLOW('x', 1), new Error('secret')))
      const times = pick(1, 1, 2)
      for (let time = 0; time < times; time++)
        pick<(end: () => void) => unknown>(setImmediate, setTimeout, (now) => now())(end)
    })
    const plain = await connect(`ws://${host}/ws`, { t })
    await storm(started, 3_000)
    await until(() => endpoint.gauges.connections === 1, { timeout: 20_000 })
    assert.deepEqual(endpoint.gauges, { connections: 1, bufferedBytes: 0, inFlight: 0 })
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    const { acknowledged, rejected, decodeErrors } = endpoint.counters as Record<string, number>
    const enough = Math.min(acknowledged as number, rejected as number, decodeErrors as number) > 20
    assert.ok(enough, JSON.stringify(endpoint.counters))

    endpoint.bind((_message, settle) => settle?.(null))
    const client = await open()
    await client.send(messageOf('1'))
    assert.deepEqual(await told(client), [{ type: 'ack', id: '1' }])
    await plain.roundTrip()
    assert.ok(plain.drain().every((text) => text === '"meanwhile"'))
  })
}
