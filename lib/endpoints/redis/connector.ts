/**
 * Floor 3. How ioredis gets its sockets.
 *
 * Its own connectors listen for the first error of a socket and no further. A TLS connection that is given up in its
 * handshake may tell of two, and the second would end the process. These listen for as long as there is a socket.
 */
import { createConnection, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import {
  AbstractConnector,
  type RedisOptions,
  type SentinelConnectionOptions,
  SentinelConnector,
  type StandaloneConnectionOptions,
} from 'ioredis'
import { reasonOf } from '../../errors.ts'

/** A socket whose peer does not close its side is destroyed after so many milliseconds. */
export const DISCONNECT_TIMEOUT = 200

export type ConnectorClass = NonNullable<RedisOptions['Connector']>

/**
 * To one server.
 * @param onError is told of the errors of all sockets.
 */
export function serverConnector(onError: (error: Error) => void = ignore): ConnectorClass {
  return class extends AbstractConnector {
    readonly #options: StandaloneConnectionOptions

    /** @param options the client's. */
    constructor(options: unknown) {
      super(DISCONNECT_TIMEOUT)
      this.#options = options as StandaloneConnectionOptions
    }

    override async connect(): Promise<Socket> {
      const { host = '127.0.0.1', port = 6379, family, path, tls } = this.#options
      this.connecting = true
      const place = typeof path === 'string' ? { path } : { host, port, family }
      // `true` where the application's client was made with a rediss: URL.
      this.stream = tls ? connectTls({ ...place, ...tls }) : createConnection(place)
      this.stream.on('error', (error: Error) => {
        this.firstError ??= error
        onError(error)
      })
      return this.stream
    }
  }
}

/** To the master that sentinels name. */
export class MasterConnector extends SentinelConnector {
  /** @param options the client's. */
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions)
  }

  override async connect(...parameters: Parameters<SentinelConnector['connect']>): Promise<Socket> {
    try {
      const socket = await super.connect(...parameters)
      socket.on('error', ignore)
      return socket
    } catch (error) {
      const { sentinels = [], name } = this.options
      const asked = sentinels.map(({ host, port }) => `${host}:${port}`).join(', ')
      const [, why] = /Last error: (.*)/s.exec(reasonOf(error)) ?? []
      const reason = why === undefined ? '' : ` (${why})`
      throw new Error(`no sentinel tells where the master '${name}' is: asked ${asked}${reason}`, { cause: error })
    }
  }
}

/** For a duplicate of a client of the application's: one that it has chosen itself stays. */
export function connectorOf({ Connector, sentinels }: RedisOptions): ConnectorClass {
  return Connector ?? (Array.isArray(sentinels) ? MasterConnector : serverConnector())
}

function ignore(): void {}
