/** What every broker of the tests can do. */
import assert from 'node:assert/strict'
import { accepts } from './port.ts'
import type { Exit, ManagedProcess } from './process.ts'

/** A broker on a port of 127.0.0.1 that stays its own through restarts. */
export class Server {
  readonly host = '127.0.0.1'
  readonly port: number
  /** With user and password, where there are any. */
  readonly url: string
  /** Its process: output, pid, signals. */
  readonly process: ManagedProcess

  constructor(process: ManagedProcess, port: number, url: string) {
    this.process = process
    this.port = port
    this.url = url
  }

  /** Starts it again, on the same port, after {@link kill} or {@link stop}. Resolves when it takes connections. */
  async start(): Promise<void> {
    await this.process.start()
  }

  /** An orderly end. */
  stop(): Promise<Exit> {
    return this.process.stop()
  }

  /** SIGKILL: a crash. */
  kill(): Promise<Exit> {
    return this.process.kill()
  }

  /** SIGSTOP: connections stay open, nobody answers. */
  pause(): void {
    this.process.pause()
  }

  /** SIGCONT, after {@link pause}. */
  resume(): void {
    this.process.resume()
  }
}

/** For the tests of the servers here: killed it is gone, and started again it is back on its port. */
export async function survivesACrash(server: Server): Promise<void> {
  assert.equal(await accepts(server.port), true)
  assert.equal((await server.kill()).signal, 'SIGKILL')
  assert.equal(await accepts(server.port), false)
  await server.start()
  assert.equal(await accepts(server.port), true)
}
