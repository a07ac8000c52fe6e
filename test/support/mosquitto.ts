/** Real MQTT brokers. */
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { accepts, freePort, onFreePort } from './port.ts'
import type { ManagedProcess, Owner } from './process.ts'
import { startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'

export interface MosquittoServerOptions {
  /** A WebSocket port, too: {@link MosquittoServer.webSocketUrl}. */
  readonly webSocket?: boolean
  /** Sessions and retained messages outlive an orderly restart. */
  readonly persistence?: boolean
  /** It writes each packet down: {@link MosquittoServer.logFile}. */
  readonly log?: boolean
  /** Its listener speaks TLS: lines for the certificates (`'certfile …'`). */
  readonly tls?: readonly string[]
  /** More lines for its configuration file: `'max_packet_size 1024'`. */
  readonly config?: string
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

export class MosquittoServer extends Server {
  /** `ws://…`, where it was asked for. */
  readonly webSocketUrl: string | undefined
  /** Where each packet is a line, where that was asked for; it grows over restarts. */
  readonly logFile: string | undefined

  constructor(process: ManagedProcess, port: number, webSocketPort: number | undefined, logFile: string | undefined) {
    super(process, port, `mqtt://127.0.0.1:${port}`)
    this.logFile = logFile
    this.webSocketUrl = webSocketPort === undefined ? undefined : `ws://127.0.0.1:${webSocketPort}`
  }
}

export async function startMosquitto(options: MosquittoServerOptions = {}): Promise<MosquittoServer> {
  const { webSocket = false, persistence = false, log = false, tls = [], config = '', t } = options
  const command = find('mosquitto')
  const folder = temporaryFolder('mosquitto')
  return onFreePort(async (port) => {
    const webSocketPort = webSocket ? await freePort() : undefined
    const file = join(folder, `${port}.conf`)
    const logFile = log ? join(folder, `${port}.log`) : undefined
    writeFileSync(
      file,
      [
        `user ${userInfo().username}`, // as root it would become a user who may not write to the folder
        'allow_anonymous true',
        persistence ? `persistence true\npersistence_location ${folder}/` : 'persistence false',
        `listener ${port} 127.0.0.1`,
        ...tls,
        webSocketPort === undefined ? '' : `listener ${webSocketPort} 127.0.0.1\nprotocol websockets`,
        logFile === undefined ? '' : `log_type all\nlog_dest stderr\nlog_dest file ${logFile}`,
        config,
        '',
      ].join('\n'),
    )
    // It says that it runs before it does: a SIGTERM in between is lost. So it is up when it has answered somebody.
    const ready = async ({ stderr }: ManagedProcess): Promise<boolean> =>
      / running\b/.test(stderr) && (tls.length > 0 ? accepts(port) : answers(port))
    const process = await startProcess({ command, args: ['-c', file], ready, t })
    return new MosquittoServer(process, port, webSocketPort, logFile)
  })
}

/** MQTT 3.1.1, section 3.1: a client without name or login, that wants a clean session. */
const CONNECT = Buffer.from('100c00044d5154540402003c0000', 'hex')

/** Whether the broker answers a client, be it with a refusal. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(CONNECT))
    const settle = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('data', () => settle(true))
    socket.once('error', () => settle(false))
    socket.once('close', () => settle(false))
  })
}
