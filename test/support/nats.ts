/** Real NATS servers, with JetStream and WebSocket where asked for. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, onFreePort } from './port.ts'
import type { ManagedProcess, Owner } from './process.ts'
import { startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'

export interface NatsServerOptions {
  /** Streams, kept on disk: they outlive a restart. */
  readonly jetStream?: boolean
  /** A WebSocket port, too: {@link NatsServer.webSocketUrl}. */
  readonly webSocket?: boolean
  /** Its own MQTT listener, too (3.1.1; needs {@link jetStream}): {@link NatsServer.mqttUrl}. */
  readonly mqtt?: boolean
  /** More lines for its configuration file: `'max_payload: 1024'`. */
  readonly config?: string
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

export class NatsServer extends Server {
  /** `ws://…`, where it was asked for. */
  readonly webSocketUrl: string | undefined

  /** `mqtt://…`, where it was asked for. */
  readonly mqttUrl: string | undefined

  constructor(process: ManagedProcess, port: number, webSocketPort: number | undefined, mqttPort?: number) {
    super(process, port, `nats://127.0.0.1:${port}`)
    this.mqttUrl = mqttPort === undefined ? undefined : `mqtt://127.0.0.1:${mqttPort}`
    this.webSocketUrl = webSocketPort === undefined ? undefined : `ws://127.0.0.1:${webSocketPort}`
  }
}

export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const { jetStream = false, webSocket = false, mqtt = false, config = '', t } = options
  const command = find('nats-server')
  const folder = temporaryFolder('nats')
  return onFreePort(async (port) => {
    const webSocketPort = webSocket ? await freePort() : undefined
    const mqttPort = mqtt ? await freePort() : undefined
    const file = join(folder, `${port}.conf`)
    writeFileSync(
      file,
      [
        `listen: "127.0.0.1:${port}"`,
        jetStream ? `jetstream { store_dir: ${JSON.stringify(folder)} }` : '',
        webSocketPort === undefined ? '' : `websocket { listen: "127.0.0.1:${webSocketPort}", no_tls: true }`,
        // Sessions are kept under the server's name.
        mqttPort === undefined ? '' : `server_name: araldo\nmqtt { listen: "127.0.0.1:${mqttPort}" }`,
        config,
        '',
      ].join('\n'),
    )
    const process = await startProcess({ command, args: ['-c', file], ready: /Server is ready/, t })
    return new NatsServer(process, port, webSocketPort, mqttPort)
  })
}
