/**
 * Floor 3. Reads on a connection of its own: a read that waits for entries holds up whatever is sent after it.
 *
 * Every read has a deadline, because a server that is cut off while it waits tells nobody.
 */
import { Connection, type ConnectionInit } from '../connection.ts'

/** How long the server waits for entries (milliseconds): so long may an orderly end take, too. */
export const BLOCK = 1_000
/** An answer that is so much later (milliseconds) than the server was told to wait does not come any more. */
const ANSWER_TIMEOUT = 5_000

export class Reader extends Connection {
  constructor(init: ConnectionInit) {
    super('reader', init)
  }

  protected override attach(): void {}

  protected override detach(): void {}

  /**
   * Resolves with the answer, text as bytes. One at a time.
   * @param name in small letters: by these ioredis knows which answers look different in RESP 3.
   * @throws Error with the server's words, or why there is no answer. Then the connection is lost, too.
   */
  async read(name: string, ...parameters: (string | number)[]): Promise<unknown> {
    const { client } = this
    if (client?.status !== 'ready') throw new Error('the connection is not open')
    let timer: NodeJS.Timeout | undefined
    const expired = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const error = new Error(`no answer to ${name.toUpperCase()} within ${BLOCK + ANSWER_TIMEOUT} ms`)
        reject(error)
        this.fail(error)
      }, BLOCK + ANSWER_TIMEOUT)
    })
    try {
      return await Promise.race([client.callBuffer(name, ...parameters), expired])
    } finally {
      clearTimeout(timer)
    }
  }
}
