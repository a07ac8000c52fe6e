/** A real RabbitMQ. Slow to start (several seconds, a whole core): one per test file, please. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { accepts, freePort, onFreePort } from './port.ts'
import type { Exit, ManagedProcess, Owner } from './process.ts'
import { runOrThrow, startProcess, temporaryFolder } from './process.ts'
import { find } from './require.ts'
import { Server } from './server.ts'

export interface RabbitmqServerOptions {
  /** More lines for its rabbitmq.conf: `'channel_max = 10'`. */
  readonly config?: string
  /** Its own plugin for MQTT 3.1.1, too: {@link RabbitmqServer.mqtt}. */
  readonly mqtt?: boolean
  /** Its plugins that are enabled: `'rabbitmq_auth_mechanism_ssl'`. */
  readonly plugins?: readonly string[]
  /** The test that it ends with; the test file if left out. */
  readonly t?: Owner
}

/** RabbitMQ takes its time; the more so where two cores run other tests. */
const START_TIMEOUT = 60_000

export class RabbitmqServer extends Server {
  /** The same server as a broker of MQTT, where that was asked for. */
  readonly mqtt: Server | undefined
  readonly #environment: Readonly<Record<string, string>>
  readonly #portMapper: ManagedProcess

  constructor(
    process: ManagedProcess,
    port: number,
    environment: Record<string, string>,
    portMapper: ManagedProcess,
    mqttPort?: number,
  ) {
    super(process, port, `amqp://guest:guest@127.0.0.1:${port}`)
    this.mqtt = mqttPort === undefined ? undefined : new MqttListener(this, mqttPort)
    this.#environment = environment
    this.#portMapper = portMapper
  }

  /** Runs rabbitmqctl on this server: `await rabbitmq.control('list_queues', '--quiet')`. */
  control(...args: string[]): Promise<string> {
    return runOrThrow(find('rabbitmqctl'), args, { env: this.#environment, timeout: START_TIMEOUT })
  }

  /** A crash. Erlang's port mapper goes with the next start: it would hold the node's name for a moment. */
  override async kill(): Promise<Exit> {
    const exit = await super.kill()
    await this.#portMapper.kill()
    return exit
  }

  override async start(): Promise<void> {
    if (!this.#portMapper.running) await this.#portMapper.start()
    await super.start()
  }
}

/** What is done to it is done to the server. */
class MqttListener extends Server {
  readonly #server: RabbitmqServer

  constructor(server: RabbitmqServer, port: number) {
    super(server.process, port, `mqtt://127.0.0.1:${port}`)
    this.#server = server
  }

  override kill(): Promise<Exit> {
    return this.#server.kill()
  }

  override start(): Promise<void> {
    return this.#server.start()
  }
}

export async function startRabbitmq({
  config = '',
  mqtt = false,
  plugins = [],
  t,
}: RabbitmqServerOptions = {}): Promise<RabbitmqServer> {
  const command = find('rabbitmq-server')
  const folder = temporaryFolder('rabbitmq')
  const portMapper = await startPortMapper(t)
  return onFreePort(async (port) => {
    const mqttPort = mqtt ? await freePort() : undefined
    const file = join(folder, 'rabbitmq.conf')
    writeFileSync(
      file,
      [
        `listeners.tcp.1 = 127.0.0.1:${port}`,
        'disk_free_limit.absolute = 1MB',
        'log.file = false',
        'log.console = true',
        mqttPort === undefined ? '' : `mqtt.listeners.tcp.1 = 127.0.0.1:${mqttPort}\nmqtt.allow_anonymous = true`,
        config,
        '',
      ].join('\n'),
    )
    writeFileSync(join(folder, 'none'), '')
    const enabled = mqtt ? [...plugins, 'rabbitmq_mqtt'] : plugins
    writeFileSync(join(folder, 'plugins'), `[${enabled.join(',')}].`)
    const env = {
      HOME: folder, // where Erlang keeps its cookie
      ERL_EPMD_PORT: String(portMapper.port),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `araldo-${port}@localhost`,
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_BASE: folder,
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: folder,
      RABBITMQ_LOGS: '-',
      RABBITMQ_PID_FILE: join(folder, 'pid'),
      RABBITMQ_CONFIG_FILE: file,
      RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      RUNNING_UNDER_SYSTEMD: 'true', // become the server instead of waiting beside it
    }
    const server = await startProcess({ command, env, ready: /Server startup complete/, timeout: START_TIMEOUT, t })
    return new RabbitmqServer(server, port, env, portMapper.process, mqttPort)
  })
}

/** Erlang's own port mapper (epmd); RabbitMQ would start one that stays for ever. */
function startPortMapper(t: Owner | undefined): Promise<{ readonly process: ManagedProcess; readonly port: number }> {
  return onFreePort(async (port) => {
    const args = ['-port', String(port), '-address', '127.0.0.1']
    const process = await startProcess({ command: find('epmd'), args, ready: () => accepts(port), t })
    return { process, port }
  })
}
