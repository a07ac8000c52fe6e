/**
 * Floor 3. Requests that come in: admitted within bounds, read, verified, decoded, handed to the lanes, and answered with
 * what became of their messages.
 *
 * Whoever sends is not trusted: nothing of a request costs more than its bound, and what it does not hold to is refused
 * before anything of it is handed in.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { type AraldoError, errors } from '../../errors.ts'
import type { EndpointContext } from '../../endpoint.ts'
import { List, Listed } from '../../list.ts'
import type { Message, MessageInit } from '../../message.ts'
import type { Settle } from '../../types.ts'
import { refuse, reject } from './answers.ts'
import { type Attributes, attributesOf } from './attributes.ts'
import { Batch, type BatchReport, linesOf, nextTurn, undecodable } from './batch.ts'
import { type Hold, Holds } from './hold.ts'
import { type BodyKind, mediaTypesOf, type MediaTypes } from './media-types.ts'
import { type NameFilter, nameFilter } from './names.ts'
import type { HttpOptions } from './options.ts'
import { retryAfter } from './retry-after.ts'
import { createSigner, type Signer } from './signature.ts'

type Incoming = Omit<MessageInit, 'source' | 'marshaller'>

export interface ReceptionInit {
  readonly context: Pick<EndpointContext<HttpOptions>, 'name' | 'options' | 'marshaller'>
  /** Of the scope that the route is in. */
  readonly prefix: string
  readonly counters: ReceptionCounters & { decodeErrors: number }
  /** Why nothing comes in at the moment; undefined where it does. */
  readonly refusal: () => AraldoError | undefined
  readonly isSuspended: () => boolean
  /** Makes a message of the endpoint. */
  readonly message: (init: Incoming) => Message
  readonly receive: (message: Message, settle: Settle | undefined) => void
}

export interface ReceptionCounters {
  /** Requests that were refused before anything of them was handed in. */
  refusedRequests: number
  /** Of these: those whose signature was missing or wrong. */
  unverified: number
  /** Messages whose requests were answered before they were settled. */
  unsettled: number
  /** Requests whose clients went away before they were answered. */
  abandoned: number
}

/** After these nothing more of the connection is wanted. */
const CLOSES: ReadonlySet<string> = new Set(['ARALDO_ERR_CLOSING', 'ARALDO_ERR_TOO_LARGE'])
/** The attributes of CloudEvents in binary mode. */
const EVENT_HEADERS = 'ce-*'
const NO_BODY = Buffer.alloc(0)

/** A request that has no answer yet. */
class Wait extends Listed {
  readonly giveUp: (error: AraldoError) => void

  constructor(giveUp: (error: AraldoError) => void) {
    super()
    this.giveUp = giveUp
  }
}

export class Reception {
  readonly #init: ReceptionInit
  readonly #types: MediaTypes
  readonly #forwards: NameFilter
  readonly #signer: Signer | undefined
  readonly #holds: Holds
  readonly #requests = new WeakMap<FastifyRequest, Hold>()
  /** What waits for its settlement: each is told why it does not wait on. */
  readonly #waiting = new List<Wait>()
  readonly #batches = new Set<Batch>()

  constructor(init: ReceptionInit) {
    const { name, options, marshaller } = init.context
    const { signature, 'forward-headers': forwarded, 'max-requests': requests, 'max-bytes': bytes } = options
    this.#init = init
    this.#types = mediaTypesOf(marshaller)
    // A format that has part of an event in headers reads them itself.
    this.#forwards = nameFilter(marshaller.incoming === undefined ? forwarded : [...forwarded, EVENT_HEADERS])
    this.#signer = signature === undefined ? undefined : createSigner(signature)
    this.#holds = new Holds({ name, requests, bytes })
  }

  get gauges(): { requests: number; requestBytes: number } {
    const { requests, bytes } = this.#holds
    return { requests, requestBytes: bytes }
  }

  /** First of all: what is refused here costs no authentication, and its body is not read. */
  readonly admit = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const error = this.#init.refusal() ?? this.#holds.refusal() ?? this.#headRefusal(request)
    if (error !== undefined) {
      this.#refuse(reply, error)
      return
    }
    const hold = this.#holds.take()
    this.#requests.set(request, hold)
    const release = (): void => hold.release()
    reply.raw.once('close', release).once('finish', release)
    done()
  }

  /** The content type parser of the route. Errors are bodies: {@link verify} answers them. */
  readonly parse = async (request: FastifyRequest, body: IncomingMessage): Promise<Buffer | AraldoError> => {
    const { name } = this.#init.context
    const coding = request.headers['content-encoding'] ?? 'identity'
    // A hook of the host's may have decoded it.
    if (coding !== 'identity' && body === request.raw) return new errors.MEDIA_TYPE_REFUSED(name, 'no content-encoding')
    return (this.#requests.get(request) as Hold).read(body, this.#limit(request))
  }

  /** Before the hooks that see the body. */
  readonly verify = (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const { body = NO_BODY } = request as { body?: Buffer | AraldoError }
    const error = Buffer.isBuffer(body) ? this.#signatureError(request, body) : body
    if (error === undefined) done()
    else {
      // More of it may be under way.
      if (!Buffer.isBuffer(body)) reply.header('connection', 'close')
      this.#refuse(reply, error)
    }
  }

  /** Last: hands in what the request brings. */
  readonly handle = (request: FastifyRequest, reply: FastifyReply): void => {
    const body = (request.body as Buffer | undefined) ?? NO_BODY
    // What the hooks have waited for may have taken its time.
    const error = this.#init.refusal()
    if (error !== undefined) {
      this.#refuse(reply, error)
      return
    }
    let attributes: Attributes
    try {
      attributes = attributesOf(request, {
        name: this.#init.context.name,
        prefix: this.#init.prefix,
        forwards: this.#forwards,
        idHeader: this.#init.context.options.signature?.scheme === 'standard-webhooks' ? 'webhook-id' : undefined,
      })
    } catch (refusal) {
      this.#refuse(reply, refusal as AraldoError)
      return
    }
    if (this.#kindOf(request) === 'batch') void this.#takeBatch(body, attributes, reply)
    else this.#take(body, attributes, reply)
  }

  /** The lanes want more. Not at once: whoever says so may be in the middle of something. */
  goOn(): void {
    for (const batch of this.#batches) void nextTurn().then(() => batch.goOn())
  }

  /** The end: what waits is answered with the error. */
  endAll(error: AraldoError): void {
    for (const { giveUp } of this.#waiting.items()) giveUp(error)
  }

  #headRefusal(request: FastifyRequest): AraldoError | undefined {
    const { name } = this.#init.context
    const kind = this.#kindOf(request)
    if (kind === undefined) return new errors.MEDIA_TYPE_REFUSED(name, this.#types.accepted)
    const [limit, length] = [this.#limit(request), Number(request.headers['content-length'] ?? 0)]
    return length > limit ? new errors.TOO_LARGE(name, limit, length) : undefined
  }

  #kindOf({ headers }: FastifyRequest): BodyKind | undefined {
    // Its payload is the event's data, of any type.
    if (headers['ce-specversion'] !== undefined && this.#init.context.marshaller.incoming !== undefined)
      return 'message'
    return this.#types.kindOf(headers['content-type'])
  }

  #limit(request: FastifyRequest): number {
    const { 'max-payload': payload, 'max-batch': batch } = this.#init.context.options
    return this.#kindOf(request) === 'batch' ? batch.bytes : payload
  }

  #signatureError(request: FastifyRequest, body: Buffer): AraldoError | undefined {
    const problem = this.#signer?.problemOf(request.headers, body, Date.now())
    if (problem === undefined) return undefined
    this.#init.counters.unverified++
    return new errors.SIGNATURE_INVALID(this.#init.context.name, problem)
  }

  #refuse(reply: FastifyReply, error: AraldoError): void {
    this.#init.counters.refusedRequests++
    if (error.code === 'ARALDO_ERR_UNDECODABLE') this.#init.counters.decodeErrors++
    if (CLOSES.has(error.code)) reply.header('connection', 'close')
    refuse(reply, error)
  }

  #take(payload: Buffer, attributes: Attributes, reply: FastifyReply): void {
    const { context, receive } = this.#init
    const message = this.#init.message({ ...attributes, payload })
    // As it will be in the lanes.
    const read = context.marshaller.incoming?.(message) ?? message
    try {
      void read.body
    } catch (error) {
      this.#refuse(reply, error as AraldoError)
      return
    }
    const { id } = read
    if (context.options.acknowledge === 'accepted') {
      receive(message, undefined)
      void reply.code(202).send({ id })
      return
    }
    const end = this.#wait(reply, 1, (error, isLate) => {
      if (error === null) void reply.code(200).send({ id })
      else if (isLate) refuse(reply, error as AraldoError)
      else reject(reply, error)
    })
    receive(message, end)
  }

  async #takeBatch(body: Buffer, attributes: Attributes, reply: FastifyReply): Promise<void> {
    const { context, receive, isSuspended } = this.#init
    const { name, marshaller, options } = context
    const { 'max-batch': bounds, 'max-payload': payload, acknowledge } = options
    const lines = linesOf(body, { name, messages: bounds.messages, payload })
    if (!Array.isArray(lines)) {
      this.#refuse(reply, lines)
      return
    }
    const error = await undecodable(lines, marshaller)
    if (error !== undefined) {
      this.#refuse(reply, error)
      return
    }
    const { 'content-type': _, ...headers } = attributes.headers as Record<string, string>
    let report: BatchReport | undefined
    const batch = new Batch({
      lines,
      settles: acknowledge === 'settled',
      isHeld: isSuspended,
      give: (line, settle) => {
        const id = attributes.id === undefined ? undefined : `${attributes.id}/${line.number}`
        // Its own copy: one line that waits must not keep the whole body.
        receive(this.#init.message({ ...attributes, headers, id, payload: Buffer.from(line.payload) }), settle)
      },
      onEnd: (result) => {
        this.#batches.delete(batch)
        report = result
        end(null)
      },
    })
    const answer = (failure: Error | null): void => {
      if (failure !== null) batch.end(failure)
      this.#answerBatch(reply, report as BatchReport, (failure as AraldoError | null)?.statusCode)
    }
    const gone = new errors.REQUEST_INVALID(name, 'its client is gone')
    const end = this.#wait(reply, lines.length, answer, () => batch.end(gone))
    this.#batches.add(batch)
    await batch.goOn()
  }

  #answerBatch(reply: FastifyReply, report: BatchReport, status: number | undefined): void {
    const { messages, settled, failed, omitted, retry } = report
    if (settled === messages) {
      void reply.code(this.#init.context.options.acknowledge === 'settled' ? 200 : 202).send({ messages })
      return
    }
    if (retry) reply.header('retry-after', retryAfter())
    void reply.code(status ?? (retry ? 503 : 422)).send({ messages, settled, failed, omitted })
  }

  /**
   * Waits for a settlement, within bounds.
   * @param answer called once, unless the client goes away first; `isLate` where the wait was ended by this endpoint.
   * @param onLeave called where the client goes away first.
   * @returns what ends the wait.
   */
  #wait(
    reply: FastifyReply,
    messages: number,
    answer: (error: Error | null, isLate: boolean) => void,
    onLeave?: () => void,
  ): Settle {
    const { context, counters } = this.#init
    const timeout = context.options['settle-timeout']
    let isOver = false
    const finish = (): boolean => {
      if (isOver) return false
      isOver = true
      clearTimeout(timer)
      this.#waiting.delete(wait)
      reply.raw.off('close', leave)
      return true
    }
    const giveUp = (error: AraldoError): void => {
      if (!finish()) return
      counters.unsettled += messages
      answer(error, true)
    }
    const leave = (): void => {
      if (!finish()) return
      counters.abandoned++
      onLeave?.()
    }
    const timer = setTimeout(() => giveUp(new errors.UNSETTLED(context.name, timeout)), timeout)
    const wait = new Wait(giveUp)
    this.#waiting.add(wait)
    reply.raw.once('close', leave)
    return (error) => {
      if (finish()) answer(error, false)
    }
  }
}
