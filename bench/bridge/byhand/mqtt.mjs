/**
 * MQTT 5 with MQTT.js, QoS 1. Its own handler acknowledges one message before it reads the next one: what comes is
 * taken from it as QoS 0, and acknowledged here.
 */
import { once } from 'node:events'
import { connect, connectAsync } from 'mqtt'

export async function openSource({ url, topic }, window, onMessages) {
  const properties = { sessionExpiryInterval: 3_600, receiveMaximum: window }
  const options = { protocolVersion: 5, clientId: topic, clean: false, properties }
  const client = connect(url, options)
  const acknowledge = (messages) => {
    for (const { packet } of messages) client._sendPacket({ cmd: 'puback', messageId: packet.messageId })
  }
  let waiting = []
  // Mosquitto 2.0 sends more than the receive maximum: nothing is read while there are too many.
  let waitingFor
  let readNext
  const flush = () => {
    if (waiting.length === 0) return
    const messages = waiting
    waiting = []
    waitingFor = onMessages(messages, acknowledge)?.then(() => {
      waitingFor = undefined
      readNext?.()
      readNext = undefined
    })
  }
  client.handleMessage = (_packet, done) => {
    if (waitingFor === undefined) done()
    else readNext = done
  }
  client.on('packetreceive', (packet) => {
    if (packet.cmd !== 'publish') return
    packet.qos = 0
    if (waiting.length === 0) setImmediate(flush)
    else if (waiting.length === window) flush()
    const { 'araldo-id': id, 'araldo-key': key } = packet.properties?.userProperties ?? {}
    waiting.push({ packet, payload: packet.payload, id, key })
  })
  // What the session has kept comes at once.
  await once(client, 'connect')
  await client.subscribeAsync(topic, { qos: 1 })
}

export async function openTarget({ url, topic }) {
  const client = await connectAsync(url, { protocolVersion: 5 })
  return {
    send: (messages) =>
      Promise.all(
        messages.map(({ payload, id, key }) => {
          const userProperties = key === undefined ? { 'araldo-id': id } : { 'araldo-id': id, 'araldo-key': key }
          return client.publishAsync(topic, payload, { qos: 1, properties: { userProperties } })
        }),
      ),
  }
}
