import { after, before, describe } from 'node:test'
import { endpointMqtt } from '../../lib/endpoints/mqtt/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createMqttPeer } from '../peers/mqtt.ts'
import { type MosquittoServer, startMosquitto } from '../support/mosquitto.ts'
import { need } from '../support/require.ts'

let mosquitto: MosquittoServer

describe('MQTT', { skip: need('mosquitto') }, () => {
  describe('of QoS 0', () => {
    before(async () => {
      mosquitto = await startMosquitto()
    })
    after(() => mosquitto.kill())
    testEndpoint({ type: endpointMqtt, createPeer: () => createMqttPeer(mosquitto, { options: { qos: 0 } }) })
  })

  for (const options of [{ qos: 1 }, { qos: 2 }, { qos: 1, version: '3.1.1' }]) {
    const { qos, version = '5' } = options
    describe(`of QoS ${qos}, version ${version}`, () => {
      before(async () => {
        // Killed, Mosquitto forgets its sessions; it writes them down when it ends in order.
        mosquitto = await startMosquitto({ persistence: true, log: true })
      })
      after(() => mosquitto.kill())
      testEndpoint({
        type: endpointMqtt,
        createPeer: async () => {
          const peer = await createMqttPeer(mosquitto, { options, outage: 'stop' })
          const extra = { key: 'k', headers: { kind: 'test', Case: 'grün' } }
          return { ...peer, emit: (payload) => peer.emit(payload, extra) }
        },
      })
    })
  }
})
