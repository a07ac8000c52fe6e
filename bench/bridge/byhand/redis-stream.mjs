/** Redis Streams with ioredis: reads as one of a group, first what it had not acknowledged; writes by pipelines. */
import { Redis } from 'ioredis'

export async function openSource({ port, stream, group }, window, onMessages) {
  const reader = new Redis(port)
  const writer = new Redis(port)
  const acknowledge = (messages) => writer.xack(stream, group, ...messages.map(({ entry }) => entry))
  const read = async () => {
    const command = ['GROUP', group, 'by-hand', 'COUNT', window / 2, 'BLOCK', 1_000, 'STREAMS', stream]
    let from = '0'
    for (;;) {
      const answer = await reader.xreadgroupBuffer(...command, from)
      const entries = answer?.[0][1] ?? []
      if (entries.length > 0) await onMessages(entries.map(messageOf), acknowledge)
      if (from !== '>') from = entries.at(-1)?.[0] ?? '>'
    }
  }
  void read()
}

function messageOf([entry, fields]) {
  const message = { entry, payload: undefined, id: undefined, key: undefined }
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index].toString()
    message[name] = name === 'payload' ? fields[index + 1] : fields[index + 1].toString()
  }
  return message
}

export async function openTarget({ port, stream }) {
  const writer = new Redis(port)
  return {
    async send(messages) {
      const pipeline = writer.pipeline()
      for (const { payload, id, key } of messages) {
        if (key === undefined) pipeline.xadd(stream, '*', 'payload', payload, 'id', id)
        else pipeline.xadd(stream, '*', 'payload', payload, 'id', id, 'key', key)
      }
      for (const [error] of await pipeline.exec()) if (error !== null) throw error
    },
  }
}
