/** PostgreSQL with pg: the oldest rows of an outbox, deleted when they are done; one INSERT for many rows. */
import pg from 'pg'

export async function openSource({ url, table }, window, onMessages) {
  const client = new pg.Client(url)
  await client.connect()
  const select = `SELECT id AS row, message_id AS id, key, payload FROM ${table} ORDER BY id LIMIT $1`
  const remove = `DELETE FROM ${table} WHERE id = ANY($1)`
  const acknowledge = async (messages) => {
    await client.query({ name: 'remove', text: remove, values: [messages.map(({ row }) => row)] })
    await read()
  }
  async function read() {
    const { rows } = await client.query({ name: 'select', text: select, values: [window] })
    // What has no key has a null here.
    for (const row of rows) row.key ??= undefined
    if (rows.length === 0) setTimeout(() => void read(), 100)
    else void onMessages(rows, acknowledge)
  }
  void read()
}

export async function openTarget({ url, table }) {
  const client = new pg.Client(url)
  await client.connect()
  const text = `INSERT INTO ${table} (message_id, key, payload) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])`
  return {
    send(messages) {
      const [ids, keys, payloads] = ['id', 'key', 'payload'].map((name) => messages.map((message) => message[name]))
      return client.query({ name: 'insert', text, values: [ids, keys, payloads] })
    },
  }
}
