/** NATS core: each message as it comes, with its headers. */
import { connect } from '@nats-io/transport-node'

export async function openSource({ url, subject }, _window, onMessages) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 })
  connection.subscribe(subject, {
    callback: (_error, { data, headers }) => void onMessages([{ payload: data, headers }]),
  })
  await connection.flush()
}

export async function openTarget({ url, subject }) {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 })
  return { send: async ([{ payload, headers }]) => connection.publish(subject, payload, { headers }) }
}
