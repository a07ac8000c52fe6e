/** endpoint-tail, a file as an endpoint: its new lines come in, as with `tail -F`; messages are added to it as lines. */
import { appendFile, open, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setInterval } from 'node:timers/promises'
import { defineEndpoint, duration, Endpoint, size } from 'araldo'

class TailEndpoint extends Endpoint {
  #path
  #position // of the next read
  #line = '' // what there is of a line whose end was not read yet; a character a byte
  #close = async () => {}
  #appended = Promise.resolve()

  constructor(context) {
    super(context)
    this.#path = resolve(context.directory, context.options.path)
    this.counters.tooLong = 0
  }

  async connect() {
    if (!this.hasRoute) return appendFile(this.#path, '') // Nobody reads it: it is made where it is missing.
    const there = await stat(this.#path).catch(() => undefined)
    this.#position ??= there?.size ?? 0 // From now on; but all of a file that was missing at first.
    const file = await open(this.#path) // Rejects where it is missing: the relay tries again.
    const { ino } = await file.stat()
    const end = new AbortController()
    const following = this.#follow(file, ino, end.signal)
    this.#close = async () => {
      end.abort()
      await following
      await file.close()
    }
  }

  async disconnect() {
    await this.#close()
    await this.#appended
  }

  send(message, settle) {
    const line = message.encode(this.marshaller)
    if (line.includes('\n')) throw Object.assign(new Error('a line holds no line end'), { retryable: false })
    const append = () => appendFile(this.#path, Buffer.concat([line, Buffer.from('\n')])).then(() => settle(null))
    this.#appended = this.#appended.then(append).catch((error) => {
      settle(error)
      this.lost(error)
    })
  }

  async #follow(file, ino, signal) {
    try {
      for await (const _ of setInterval(this.options.interval, undefined, { signal })) {
        const now = await stat(this.#path).catch(() => undefined)
        const isCut = now?.ino === ino && now.size < this.#position
        if (!isCut) await this.#read(file) // A file that was moved, too: its last lines count.
        if (now?.ino === ino && !isCut) continue
        this.#position = 0
        this.#line = ''
        throw new Error('the file is gone, was replaced or was cut off')
      }
    } catch (error) {
      if (!signal.aborted) this.lost(error)
    }
  }

  async #read(file) {
    const limit = this.options['max-line']
    for (;;) {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(64 * 1024), position: this.#position })
      if (bytesRead === 0) return
      this.#position += bytesRead
      const lines = (this.#line + buffer.toString('latin1', 0, bytesRead)).split('\n')
      this.#line = lines.pop().slice(0, limit + 1) // One byte too many is enough to know that it is too long.
      for (const line of lines) {
        if (line.length > limit) this.counters.tooLong++
        else this.receive(this.message({ payload: Buffer.from(line, 'latin1') }))
      }
    }
  }
}

export default defineEndpoint({
  id: 'endpoint-tail',
  description: 'A file: its new lines come in as messages, and messages are added to it as lines.',
  schema: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string', minLength: 1, description: "The file; relative to the config's folder." },
      interval: duration({ default: '200ms', minimum: 10, description: 'How often it is looked at.' }),
      'max-line': size({ default: '64KiB', minimum: 1, description: 'Longer lines are left out.' }),
    },
  },
  capabilities: () => ({
    source: { ack: false, pause: false, replay: false, headers: false, topics: false },
    target: { confirm: true, headers: false, topics: false, echo: true },
  }),
  plugin: async (_scope, context) => context.attach(new TailEndpoint(context)),
})
