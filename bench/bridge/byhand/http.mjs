/** HTTP with undici: a POST for each message, by as many connections as araldo has. */
import { Pool } from 'undici'

const CONNECTIONS = 16

export async function openTarget({ url }) {
  const { origin, pathname: path } = new URL(url)
  const pool = new Pool(origin, { connections: CONNECTIONS })
  const post = async ({ payload, id, key }) => {
    const headers = { 'content-type': 'application/json', 'araldo-id': id }
    if (key) headers['araldo-key'] = key
    const { statusCode, body } = await pool.request({ method: 'POST', path, headers, body: payload })
    await body.dump()
    if (statusCode >= 300) throw new Error(`answered with ${statusCode}`)
  }
  return { send: (messages) => Promise.all(messages.map(post)) }
}
