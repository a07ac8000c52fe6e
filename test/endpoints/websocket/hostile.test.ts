/** Ten thousand pieces of garbage: the server takes them, closes who sent them, and does not grow. */
import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { endpointWebSocket } from '../../../lib/endpoints/websocket/index.ts'
import { connect } from '../../support/client.ts'
import { type StartedEndpoint, startEndpoint } from '../../support/endpoint.ts'
import { until, within } from '../../support/wait.ts'
import { DEFAULTS } from './options.ts'
import { connectRaw, encodeFrame, OPCODES, type RawClient } from './raw.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function pick<Value>(...values: readonly Value[]): Value {
  return values[randomInt(values.length)] as Value
}

const payloads: (() => Buffer)[] = [
  () => randomBytes(randomInt(200)),
  () => Buffer.from(JSON.stringify({ number: Math.random(), text: randomBytes(randomInt(50)).toString('latin1') })),
  () => Buffer.from('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'),
  () => Buffer.from('['.repeat(randomInt(30_000))),
  () => Buffer.from(`"${'\\u0000'.repeat(randomInt(100))}`),
  () => Buffer.from(pick('', 'null', 'NaN', '1e999', '-', '"\ud800"', '{"a":1,"a":2}', '\ufeff1', '1 2', '{,}')),
  () => Buffer.from([0x22, pick(0xc0, 0xff, 0xed, 0xf8), pick(0x80, 0xa0, 0x22), 0x22]),
  () => Buffer.alloc(randomInt(70_000), '7'),
]

const frames: ((payload: Buffer) => Buffer)[] = [
  (payload) => encodeFrame(payload),
  (payload) => encodeFrame(payload, { opcode: OPCODES.binary }),
  (payload) => encodeFrame(payload, { masked: false }),
  (payload) => encodeFrame(payload, { rsv: randomInt(8) }),
  (payload) => encodeFrame(payload, { opcode: randomInt(16) }),
  (payload) => encodeFrame(payload, { fin: false }),
  (payload) => encodeFrame(payload, { opcode: OPCODES.continuation, fin: pick(true, false) }),
  (payload) => encodeFrame(payload, { opcode: pick(OPCODES.ping, OPCODES.pong), fin: pick(true, false) }),
  (payload) => encodeFrame(payload.subarray(0, randomInt(126)), { opcode: OPCODES.close }),
  (payload) =>
    encodeFrame(payload, {
      length: pick<number | bigint>(0, 1, 125, 126, 65_536, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
    }),
  (payload) =>
    Buffer.concat(Array.from({ length: 20 }, () => encodeFrame(payload.subarray(0, 2), { opcode: OPCODES.ping }))),
  (payload) => payload,
]

/** Sends garbage until the server has enough of it, or the client has. Returns how many pieces went. */
async function pester(client: RawClient): Promise<number> {
  const pieces = randomInt(1, 8)
  for (let piece = 1; piece <= pieces; piece++) {
    if (!client.socket.writable) return piece - 1
    const bytes = pick(...frames)(pick(...payloads)())
    client.write(randomInt(10) === 0 ? bytes.subarray(0, randomInt(bytes.length + 1)) : bytes)
    if (randomInt(3) === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return pieces
}

async function storm(server: StartedEndpoint, pieces: number): Promise<void> {
  let left = pieces
  const pesterer = async (): Promise<void> => {
    while (left > 0) {
      const client = await connectRaw(`ws://${server.host}/ws`)
      left -= await pester(client)
      if (pick(true, false)) client.socket.end()
      else client.socket.destroy()
      await within(client.ended, { timeout: 15_000 })
      server.send('meanwhile')
    }
  }
  await Promise.all(Array.from({ length: 20 }, pesterer))
  server.received.length = 0
}

async function heapUsed(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

for (const onInvalid of ['close', 'drop'] as const) {
  test(`5,000 fuzzed payloads and frames with on-invalid: ${onInvalid}`, { timeout: 120_000 }, async (t) => {
    const options = { ...DEFAULTS, 'on-invalid': onInvalid, 'permessage-deflate': true }
    const server = await startEndpoint(endpointWebSocket, options, { t })
    const bystander = await connect(`ws://${server.host}/ws`, { t })
    await storm(server, 1_000)
    bystander.drain()
    await until(() => server.endpoint.gauges.connections === 1, { timeout: 10_000 })
    const before = await heapUsed()
    await storm(server, 5_000)
    bystander.drain()
    await until(() => server.endpoint.gauges.connections === 1, { timeout: 10_000 })
    const grown = (await heapUsed()) - before
    assert.ok(grown < 3 * 1024 * 1024, `grew by ${grown} bytes`)
    assert.equal(server.endpoint.gauges.bufferedBytes, 0)
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    const { decodeErrors, protocolErrors } = server.endpoint.counters
    assert.ok(decodeErrors > 100 && (protocolErrors as number) > 100)

    await bystander.roundTrip()
    bystander.drain()
    server.send('still here')
    assert.equal(await bystander.next(), '"still here"')
  })
}
