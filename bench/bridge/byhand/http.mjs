/** HTTP with undici: a POST for each message, by as many connections as araldo has. */
import { Pool } from 'undici'

const CONNECTIONS = 16

export async function openTarget({ url }) {
  const { origin, pathname: path } = new URL(url)
  const pool = new Pool(origin, { connections: CONNECTIONS })
  const post = async ({ payload, id, key }) => {
    const headers = { 'content-type': 'application/json', 'araldo-id': id }
    if (key !== undefined) headers['araldo-key'] = key
    const { statusCode, body } = await pool.request({ method: 'POST', path, headers, body: payload })
    await body.dump()
    if (statusCode >= 300) throw new Error(`answered with ${statusCode}`)
  }
  // In order by the key; without one, one after the other.
  const last = new Map()
  const postInOrder = (message) => {
    const key = message.key ?? ''
    const posting = last.has(key) ? last.get(key).then(() => post(message)) : post(message)
    last.set(key, posting)
    return posting.finally(() => last.get(key) === posting && last.delete(key))
  }
  return { send: (messages) => Promise.all(messages.map(postInOrder)) }
}
