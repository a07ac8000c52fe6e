/**
 * Floor 3. One connection to a broker: opened once, lost or closed once.
 *
 * amqplib's heartbeats notice a broker that is silent. Whoever holds the connection learns of its end by one call,
 * whatever it ended by. What it says after that is heard by nobody.
 */
import type { Socket } from 'node:net'
import { type Channel, type ChannelModel, type ConfirmChannel, connect, credentials, type SocketOptions } from 'amqplib'
import { within } from '../../deadline.ts'
import { Cork } from '../common/cork.ts'
import { tlsOptions } from '../common/tls.ts'
import { addressOf, loginOf } from './address.ts'
import { type FrameReader, guard } from './frames.ts'
import { listenFromTheBeginning } from './library.ts'
import type { ServerOptions } from './options.ts'
import { plainError } from './reasons.ts'

export interface ConnectionInit {
  readonly options: ServerOptions
  /** What the TLS files' names are relative to. */
  readonly directory: string
  /** What the broker's lists show. */
  readonly name: string
  /** Called once, with a reason in words and no secret in it; not when {@link Connection.close} was called before. */
  readonly onLost: (error: Error) => void
}

/** TCP, TLS and the handshake must be through by then (milliseconds): before the endpoint's own deadline, whose words say less. */
const OPEN_TIMEOUT = 9_000
/** How long the end waits for the broker to have read all (milliseconds). */
const CLOSE_TIMEOUT = 1_000

export class Connection {
  readonly #init: ConnectionInit
  /** Aborted when it is lost or closed: that destroys the socket, in whatever state that is. */
  readonly #ended = new AbortController()
  #model: ChannelModel | undefined
  readonly #channels: Channel[] = []

  constructor(init: ConnectionInit) {
    this.#init = init
  }

  /** @throws Error with the reason in words, and no secret in it. */
  async open(): Promise<void> {
    const { options, directory, name } = this.#init
    const { signal } = this.#ended
    const { host, port, vhost, isTls } = addressOf(options)
    const tls = isTls ? await tlsOptions(options.tls ?? true, directory) : undefined
    const { username, password } = loginOf(options)
    const isExternal = options.mechanism === 'external'
    const socketOptions: SocketOptions & { signal: AbortSignal } = {
      ...tls,
      signal,
      noDelay: true,
      timeout: OPEN_TIMEOUT,
      clientProperties: { connection_name: name, product: 'araldo' },
      credentials: isExternal ? credentials.external() : credentials.plain(username, password),
    }
    const place = {
      protocol: isTls ? 'amqps' : 'amqp',
      hostname: host,
      port,
      // amqplib decodes it.
      vhost: encodeURIComponent(vhost),
      heartbeat: Math.ceil(options.heartbeat / 1_000),
    }
    listenFromTheBeginning()
    let model: ChannelModel
    try {
      model = await connect(place, socketOptions)
    } catch (error) {
      throw plainError(error)
    }
    guard(model.connection as unknown as FrameReader)
    model.on('error', this.#onError)
    model.on('close', this.#onError)
    corkWrites(model)
    this.#model = model
    if (signal.aborted) throw new Error('closed')
  }

  /** @param onBlocked whether the broker reads what is published, called each time that this changes. */
  listenBlocked(onBlocked: (isBlocked: boolean) => void): void {
    this.#model?.on('blocked', () => onBlocked(true))
    this.#model?.on('unblocked', () => onBlocked(false))
  }

  /** A channel whose end is not that of the connection until {@link watch} says so. */
  async createChannel(): Promise<Channel> {
    return this.#keep(await this.#opened.createChannel())
  }

  /** The same, with publisher confirms. */
  async createConfirmChannel(): Promise<ConfirmChannel> {
    return this.#keep(await this.#opened.createConfirmChannel())
  }

  /** From now on, the channel's end is the connection's: an error of the broker's, or that it is closed. */
  watch(channel: Channel): void {
    channel.on('error', this.#onError)
    channel.on('close', this.#onError)
  }

  /** The connection is of no more use. Does nothing after the first call, nor when it is closed. */
  readonly fail = (error: unknown): void => {
    if (this.#ended.signal.aborted) return
    this.#ended.abort()
    this.#init.onLost(plainError(error))
  }

  /** Ends it in order: what was sent before reaches the broker, if that answers. Never rejects. */
  async close(): Promise<void> {
    const { signal } = this.#ended
    if (signal.aborted) return
    const model = this.#model
    this.#model = undefined
    if (model !== undefined) {
      // A connection's end overtakes what its channels have written; a channel's own does not.
      const closing = async (): Promise<void> => {
        // One that the broker has closed cannot be closed again.
        await Promise.all(this.#channels.splice(0).map((channel) => channel.close().catch(ignore)))
        await model.close()
      }
      this.#isClosing = true
      await within(CLOSE_TIMEOUT, closing()).catch(() => false)
    }
    this.#ended.abort()
  }

  #isClosing = false

  get #opened(): ChannelModel {
    if (this.#model === undefined || this.#ended.signal.aborted) throw new Error('the connection is closed')
    return this.#model
  }

  #keep<Kind extends Channel>(channel: Kind): Kind {
    // An error without a listener would be the process' end.
    channel.on('error', ignore)
    this.#channels.push(channel)
    return channel
  }

  readonly #onError = (error?: Error): void => {
    if (!this.#isClosing) this.fail(error ?? new Error('the broker closed the connection'))
  }
}

/**
 * amqplib gathers what a turn of the event loop sends, and then writes each frame on its own: they leave by one write.
 * Its types do not have the socket.
 */
function corkWrites({ connection }: ChannelModel): void {
  const { stream } = connection as typeof connection & { readonly stream?: Socket }
  if (stream === undefined) return
  const cork = new Cork()
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  stream.write = (...args: unknown[]) => {
    cork.hold(stream)
    return write(...args)
  }
}

function ignore(): void {}
