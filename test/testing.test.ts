/** The conformance suite itself: a type that keeps the contract passes, and each way to break it is named. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { describe, it } from 'node:test'
import { defineEndpoint, Endpoint, type EndpointContext, type EndpointType } from '../lib/endpoint.ts'
import { isRetryable } from '../lib/errors.ts'
import type { Message } from '../lib/message.ts'
import { type Check, runCheck } from '../lib/testing/check.ts'
import { definitionChecks } from '../lib/testing/definition.ts'
import type { EndpointTest, Peer } from '../lib/testing/index.ts'
import { lifeChecks } from '../lib/testing/life.ts'
import { settlingChecks } from '../lib/testing/settling.ts'
import { sourceChecks } from '../lib/testing/source.ts'
import { targetChecks } from '../lib/testing/target.ts'
import type { Settle } from '../lib/types.ts'

/** What a mistake may take to be noticed (milliseconds): enough for a busy machine to do what is right. */
const PATIENCE = 1_000

const ALL: readonly Check[] = [...definitionChecks, ...lifeChecks, ...sourceChecks, ...settlingChecks, ...targetChecks]

/** A world to talk to, which can go away. */
class World extends EventEmitter {
  readonly got: Buffer[] = []
  up = true
  /** What was emitted and is not acknowledged, by its id; only of use to who acknowledges. */
  readonly unacknowledged = new Map<string, Buffer>()

  send(payload: Buffer): void {
    this.unacknowledged.set(`id-${this.#sent++}`, payload)
    this.emit('message', payload)
    this.emit('added')
  }

  #sent = 0
}

const worlds = new Map<string, World>()

interface Options {
  readonly world: string
}

/** Keeps the contract. */
class GoodEndpoint extends Endpoint<Options> {
  protected readonly world: World
  protected readonly open = new Set<Settle>()

  constructor(context: EndpointContext<Options>) {
    super(context)
    this.world = worlds.get(context.options.world) as World
  }

  protected override connect(): void | Promise<void> {
    if (!this.world.up) throw new Error('nobody there')
    this.world.on('message', this.onMessage)
    this.world.once('down', this.onDown)
  }

  protected override disconnect(): void | Promise<void> {
    this.world.off('message', this.onMessage)
    this.world.off('down', this.onDown)
    for (const settle of this.open) settle(new Error('the world is gone'))
    this.open.clear()
  }

  override send(message: Message, settle?: Settle): void {
    const payload = message.encode(this.marshaller)
    if (!this.world.up || this.state !== 'up') throw new Error('nobody there')
    if (settle === undefined) return
    this.open.add(settle)
    setImmediate(() => {
      if (!this.open.delete(settle)) return
      this.world.got.push(payload)
      settle(null)
    })
  }

  protected readonly onMessage = (payload: Buffer): void => this.take(payload)
  protected readonly onDown = (): void => this.lost(new Error('the world went down'))

  protected take(payload: Buffer): void {
    this.receive(this.message({ payload }))
  }
}

/** Keeps the contract of a source that acknowledges, brings again and pauses. */
class AckEndpoint extends GoodEndpoint {
  /** Ids that it has brought and heard nothing of. */
  protected readonly inHand = new Set<string>()
  protected isPaused = false

  protected override connect(): void | Promise<void> {
    const connected = super.connect()
    this.world.off('message', this.onMessage)
    this.world.on('added', this.bring)
    this.bring()
    return connected
  }

  protected override disconnect(): void | Promise<void> {
    this.world.off('added', this.bring)
    return super.disconnect()
  }

  protected override suspend(): void {
    this.isPaused = true
  }

  protected override resume(): void {
    this.isPaused = false
    setImmediate(this.bring)
  }

  protected readonly bring = (): void => {
    if (!this.world.up) return
    for (const [id, payload] of this.world.unacknowledged) {
      if (this.isPaused) return
      if (this.inHand.has(id)) continue
      this.inHand.add(id)
      this.receive(this.message({ id, payload }), (error) => this.settled(id, error))
    }
  }

  protected settled(id: string, error: Error | null): void {
    if (!this.inHand.delete(id)) return
    if (error === null || !isRetryable(error)) this.world.unacknowledged.delete(id)
    else setTimeout(this.bring, 20).unref()
  }
}

type EndpointClass = new (context: EndpointContext<Options>) => Endpoint<Options>

function typeOf(Class: EndpointClass, change: Partial<EndpointType<Options>> = {}): EndpointType {
  return defineEndpoint<Options>({
    id: 'endpoint-broken',
    description: 'Breaks the contract in one way.',
    schema: { type: 'object', properties: { world: { type: 'string', description: 'Its name.' } } },
    capabilities: () => ({
      source: { ack: false, pause: false, replay: false, headers: false, topics: false },
      target: { confirm: true, headers: false, topics: false, echo: false },
    }),
    plugin: async (_scope, context) => context.attach(new Class(context)),
    ...change,
  })
}

const ACK_SOURCE = { ack: true, pause: true, replay: true, headers: false, topics: false }

function ackTypeOf(Class: EndpointClass): EndpointType {
  return typeOf(Class, { capabilities: () => ({ source: ACK_SOURCE, target: null }) })
}

function createPeer(): Peer {
  const name = `world-${worlds.size}`
  const world = new World()
  worlds.set(name, world)
  return {
    options: { world: name },
    emit: (payload) => world.send(payload),
    pending: () => world.unacknowledged.size,
    received: () => world.got.map((payload) => ({ payload })),
    outage: {
      stop: () => {
        world.up = false
        world.emit('down')
      },
      start: () => {
        world.up = true
      },
    },
  }
}

interface Result {
  readonly error: Error | undefined
  readonly skipped: string | undefined
}

async function runOne(type: EndpointType, check: Check, patience: number): Promise<Result> {
  const test: EndpointTest = { type, createPeer, patience }
  let skipped: string | undefined
  const ends: (() => void | Promise<void>)[] = []
  try {
    await runCheck(test, check, { after: (end) => void ends.push(end), skip: (reason) => (skipped = reason) })
    return { error: undefined, skipped }
  } catch (error) {
    return { error: error as Error, skipped }
  } finally {
    for (const end of ends) await Promise.resolve(end()).catch(() => {})
  }
}

describe('a type that keeps the contract', () => {
  for (const check of ALL) {
    it(`passes: ${check.name}`, async () => {
      const { error } = await runOne(typeOf(GoodEndpoint), check, 5_000)
      assert.equal(error, undefined)
    })
  }

  for (const check of [...sourceChecks, ...settlingChecks]) {
    it(`passes as a source that acknowledges: ${check.name}`, async () => {
      const { error } = await runOne(ackTypeOf(AckEndpoint), check, 5_000)
      assert.equal(error, undefined)
    })
  }

  it('is told what is not tested, and why', async () => {
    const check = ALL.find(({ name }) => name.startsWith('sends the headers')) as Check
    assert.match((await runOne(typeOf(GoodEndpoint), check, 5_000)).skipped ?? '', /target.headers is not declared/)
  })
})

/** A class of an endpoint, the check that must notice, and what the author must read. */
interface Broken {
  readonly what: string
  readonly type: EndpointType
  readonly check: string
  readonly says: RegExp
}

const SOURCE_ONLY = { source: { ack: false, pause: false, replay: false, headers: false, topics: false }, target: null }

let shared: World | undefined
let asked = 0

const broken: readonly Broken[] = [
  {
    what: 'has an id that no config can name',
    type: typeOf(GoodEndpoint, { id: 'endpoint-Tail' }),
    check: 'has an id, a schema and a plugin',
    says: /the id is 'endpoint-Tail'/,
  },
  {
    what: 'leaves an option without a description',
    type: typeOf(GoodEndpoint, { schema: { type: 'object', properties: { world: { type: 'string' } } } }),
    check: 'describes each of its options',
    says: /'world' has no 'description'/,
  },
  {
    what: 'forgets a capability',
    type: typeOf(GoodEndpoint, {
      capabilities: () =>
        JSON.parse('{"source":{"ack":false,"pause":false,"replay":false,"headers":false},"target":null}'),
    }),
    check: 'declares the same capabilities whenever it is asked, and changes nothing by it',
    says: /source.topics is undefined: it is true or false/,
  },
  {
    what: 'changes its mind about its capabilities',
    type: typeOf(GoodEndpoint, {
      capabilities: () => ({ ...SOURCE_ONLY, source: { ...SOURCE_ONLY.source, replay: asked++ % 2 === 0 } }),
    }),
    check: 'declares the same capabilities whenever it is asked, and changes nothing by it',
    says: /different answers for the same options/,
  },
  {
    what: 'declares a target and cannot send',
    type: typeOf(
      class extends Endpoint<Options> {
        protected override connect(): void {}
        protected override disconnect(): void {}
      },
    ),
    check: 'can do what it declares: a target sends, what is no target does not',
    says: /declares a target, but the class has no send/,
  },
  {
    what: 'attaches nothing',
    type: typeOf(GoodEndpoint, { plugin: async () => {} }),
    check: 'comes up and works',
    says: /attached no endpoint/,
  },
  {
    what: 'attaches twice',
    type: typeOf(GoodEndpoint, {
      plugin: async (_scope, context) => {
        context.attach(new GoodEndpoint(context))
        context.attach(new GoodEndpoint(context))
      },
    }),
    check: 'comes up and works',
    says: /attached more than one endpoint/,
  },
  {
    what: 'waits for its peer in its plugin',
    type: typeOf(GoodEndpoint, {
      plugin: async (_scope, context) => {
        const endpoint = new GoodEndpoint(context)
        context.attach(endpoint)
        if (worlds.get(context.options.world)?.up === true) await new Promise(() => {})
      },
    }),
    check: 'comes up and works',
    says: /did not start in time/,
  },
  {
    what: 'never connects',
    type: typeOf(
      class extends GoodEndpoint {
        protected override connect(): Promise<void> {
          return new Promise(() => {})
        }
      },
    ),
    check: 'comes up and works',
    says: /should be up, and is connecting/,
  },
  {
    what: 'never notices that its link is lost',
    type: typeOf(
      class extends GoodEndpoint {
        protected override readonly onDown = (): void => {}
      },
    ),
    check: 'goes down when its link is lost, and works again when the peer is back, twice over',
    says: /the endpoint is still up: this.lost\(\) tells/,
  },
  {
    what: 'subscribes the first time only',
    type: typeOf(
      class extends GoodEndpoint {
        #connected = false
        protected override connect(): void | Promise<void> {
          const connected = super.connect()
          if (this.#connected) this.world.off('message', this.onMessage)
          this.#connected = true
          return connected
        }
      },
    ),
    check: 'goes down when its link is lost, and works again when the peer is back, twice over',
    says: /nothing that the peer sends comes in after the first outage/,
  },
  {
    what: 'gives no reason when it is down',
    type: typeOf(
      class extends GoodEndpoint {
        protected override connect(): void | Promise<void> {
          try {
            return super.connect()
          } catch {
            // oxlint-disable-next-line typescript/only-throw-error, no-throw-literal -- it is the mistake
            throw ''
          }
        }
      },
    ),
    check: 'boots while its peer is away, says why it is not up, and comes up when the peer does',
    says: /is down and gives no reason/,
  },
  {
    what: 'shares what belongs to one endpoint with all of its type',
    type: typeOf(
      class extends GoodEndpoint {
        protected override connect(): void {
          shared ??= new World()
          this.world.on('message', (payload: Buffer) => shared?.emit('message', payload))
          shared.on('message', this.onMessage)
        }
      },
    ),
    check: 'lives beside another of its type',
    says: /came in at another endpoint of the type/,
  },
  {
    what: 'hangs when it disconnects',
    type: typeOf(
      class extends GoodEndpoint {
        protected override disconnect(): Promise<void> {
          return new Promise((resolve) => setTimeout(resolve, 6_000).unref())
        }
      },
    ),
    check: 'can be stopped while it is up, and twice over',
    says: /stop\(\) while it is up should end: disconnect\(\) waits for no peer/,
  },
  {
    what: 'leaves a timer behind',
    type: typeOf(
      class extends GoodEndpoint {
        protected override connect(): void | Promise<void> {
          setTimeout(() => {}, 3_000)
          return super.connect()
        }
      },
    ),
    check: 'leaves no connection, timer or file open behind it',
    says: /this is still open: 1 Timeout/,
  },
  {
    what: 'loses its link when the relay drains',
    type: typeOf(
      class extends GoodEndpoint {
        protected override quiesce(): void {
          this.lost(new Error('quiet now'))
        }
      },
    ),
    check: 'still sends while the relay drains',
    says: /quiesce\(\) keeps the link, but the endpoint is down/,
  },
  {
    what: 'takes bytes for text',
    type: typeOf(
      class extends GoodEndpoint {
        protected override take(payload: Buffer): void {
          super.take(Buffer.from(payload.toString('utf8')))
        }
      },
    ),
    check: 'takes bytes in as they are',
    says: /every byte there is: the peer sent 256 bytes .* and .* came in/,
  },
  {
    what: 'gives payloads that are no buffers',
    type: typeOf(
      class extends GoodEndpoint {
        protected override take(payload: Buffer): void {
          super.take(payload.toString('utf8') as unknown as Buffer)
        }
      },
    ),
    check: 'takes nothing in any more once it is stopped',
    says: /payload is a Buffer, even where the protocol has text/,
  },
  {
    what: 'mixes messages up',
    type: typeOf(
      class extends GoodEndpoint {
        #late: Buffer | undefined
        protected override take(payload: Buffer): void {
          if (this.#late === undefined) this.#late = payload
          else {
            super.take(payload)
            super.take(this.#late)
            this.#late = undefined
          }
        }
      },
    ),
    check: 'takes 300 messages in, all of them, in their order',
    says: /message 0 came in as .*message 1/,
  },
  {
    what: 'has topics that it did not declare',
    type: typeOf(
      class extends GoodEndpoint {
        protected override take(payload: Buffer): void {
          this.receive(this.message({ payload, topic: 'somewhere' }))
        }
      },
    ),
    check: 'takes bytes in as they are',
    says: /has the topic 'somewhere', but source.topics is false/,
  },
  {
    what: 'takes messages in after its end',
    type: typeOf(
      class extends GoodEndpoint {
        protected override disconnect(): void {}
      },
    ),
    check: 'takes nothing in any more once it is stopped',
    says: /receive\(\) was called after stop\(\) had resolved/,
  },
  {
    what: 'sends asynchronously',
    type: typeOf(
      class extends GoodEndpoint {
        // oxlint-disable-next-line typescript/no-misused-promises -- it is the mistake
        override async send(message: Message, settle?: Settle): Promise<void> {
          super.send(message, settle)
        }
      },
    ),
    check: 'sends bytes as they are',
    says: /send\(\) returned a promise: it returns nothing and is not async/,
  },
  {
    what: 'settles twice',
    type: typeOf(
      class extends GoodEndpoint {
        override send(message: Message, settle?: Settle): void {
          super.send(message, (error) => {
            settle?.(error)
            settle?.(error)
          })
        }
      },
    ),
    check: 'settles each message once',
    says: /settle was called 2 times for one message/,
  },
  {
    what: 'never settles',
    type: typeOf(
      class extends GoodEndpoint {
        override send(): void {}
      },
    ),
    check: 'settles each message once',
    says: /300 of 300 messages are not settled/,
  },
  {
    what: 'forgets what was under way when its link breaks',
    type: typeOf(
      class extends GoodEndpoint {
        protected override disconnect(): void {
          this.open.clear()
          void super.disconnect()
        }
      },
    ),
    check: 'settles each message once when the peer goes away in the middle',
    says: /messages were sent and have no answer/,
  },
  {
    what: 'settles and throws',
    type: typeOf(
      class extends GoodEndpoint {
        override send(_message: Message, settle?: Settle): void {
          settle?.(new Error('no'))
          throw new Error('no')
        }
      },
    ),
    check: 'throws or drops what it is sent once it is stopped',
    says: /send\(\) threw, and called settle 1 times as well/,
  },
  {
    what: 'is broken by a payload',
    type: typeOf(
      class extends GoodEndpoint {
        protected override take(payload: Buffer): void {
          if (payload.length === 0) this.world.off('message', this.onMessage)
          super.take(payload)
        }
      },
    ),
    check: 'outlives payloads that are meant to hurt, as bytes',
    says: /nothing that the peer sends comes in after an empty payload/,
  },
  {
    what: 'acknowledges what it has brought, whatever becomes of it',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override readonly bring = (): void => {
          for (const [id, payload] of this.world.unacknowledged) {
            this.receive(this.message({ id, payload }), () => {})
            this.world.unacknowledged.delete(id)
          }
        }
      },
    ),
    check: 'acknowledges a message when it is settled, and not before',
    says: /none is settled, but 0 are pending at the peer/,
  },
  {
    what: 'never acknowledges',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override settled(): void {}
      },
    ),
    check: 'acknowledges a message when it is settled, and not before',
    says: /5 messages are pending at the peer, there should be 4/,
  },
  {
    what: 'brings again without end what was rejected for good',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override settled(id: string, error: Error | null): void {
          super.settled(id, error === null ? null : new Error('for now'))
        }
      },
    ),
    check: 'lets go of what is rejected for good',
    says: /an error whose retryable is false says that no other try can help/,
  },
  {
    what: 'acknowledges what was rejected for now',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override settled(id: string): void {
          super.settled(id, null)
        }
      },
    ),
    check: 'brings again what is rejected for now',
    says: /5 of 5 messages have not come in again: source.replay is declared, and it was rejected/,
  },
  {
    what: 'gives a message another id when it brings it again',
    type: ackTypeOf(
      class extends AckEndpoint {
        #times = 0
        protected override message(init: Parameters<Endpoint['message']>[0]): Message {
          return super.message({ ...init, id: `${init.id}-${this.#times++}` })
        }
      },
    ),
    check: 'brings again what is rejected for now',
    says: /receivers know it by that/,
  },
  {
    what: 'forgets what it held when its link is lost, and does not bring it again',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override settled(id: string, error: Error | null): void {
          if (this.counters.connects < 2) super.settled(id, error)
        }
      },
    ),
    check: 'loses nothing that is not settled when its link is lost',
    says: /5 messages are pending at the peer, there should be 0/,
  },
  {
    what: 'acknowledges what is open at its end',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override disconnect(): void | Promise<void> {
          this.world.unacknowledged.clear()
          return super.disconnect()
        }
      },
    ),
    check: 'brings what is not settled again when it is started anew',
    says: /it was not settled when the relay before was closed/,
  },
  {
    what: 'does not pause',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override suspend(): void {}
      },
    ),
    check: 'takes nothing in while it is paused, and all of it afterwards',
    says: /messages came in that the peer sent after suspend\(\)/,
  },
  {
    what: 'loses what comes while it is paused',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override readonly bring = (): void => {
          for (const [id, payload] of this.world.unacknowledged) {
            this.world.unacknowledged.delete(id)
            if (!this.isPaused) this.receive(this.message({ id, payload }), () => {})
          }
        }
      },
    ),
    check: 'takes nothing in while it is paused, and all of it afterwards',
    says: /1 of the 300 messages that the peer sent have arrived/,
  },
  {
    what: 'forgets the pause when its link is lost',
    type: ackTypeOf(
      class extends AckEndpoint {
        protected override disconnect(): void | Promise<void> {
          this.isPaused = false
          return super.disconnect()
        }
      },
    ),
    check: 'stays paused when its link is lost and comes back',
    says: /messages came in that the peer sent after suspend\(\)/,
  },
  {
    what: 'has counters that are no numbers',
    type: typeOf(
      class extends GoodEndpoint {
        protected override take(payload: Buffer): void {
          this.counters.mine = (this.counters.mine as number) + 1
          super.take(payload)
        }
      },
    ),
    check: 'counts what comes in',
    says: /the counter mine is NaN/,
  },
]

function isTold({ what, type, check: name, says }: Broken): void {
  it(`is told when it ${what}`, async () => {
    const check = ALL.find((each) => each.name === name)
    assert.ok(check, `there is no check '${name}'`)
    const { error } = await runOne(type, check, PATIENCE)
    assert.ok(error, `'${name}' noticed nothing`)
    assert.match(error.message, says)
  })
}

const isOfSettling = ({ check }: Broken): boolean => settlingChecks.some(({ name }) => name === check)

// These look at nothing that others of this process change.
describe('a source that does not do what it declares', { concurrency: 5 }, () => {
  for (const each of broken.filter(isOfSettling)) isTold(each)
})

describe('a type that breaks the contract', () => {
  for (const each of broken.filter((type) => !isOfSettling(type))) isTold(each)

  it('is shown what was logged', async () => {
    const type = typeOf(
      class extends GoodEndpoint {
        protected override connect(): void {
          this.log.error('the cause of it all')
          throw new Error('no')
        }
      },
    )
    const { error } = await runOne(type, lifeChecks[0] as Check, PATIENCE)
    assert.match(error?.message ?? '', /It was logged:\n.*the cause of it all/)
  })

  it('is told what its harness lacks', async () => {
    const test: EndpointTest = {
      type: typeOf(GoodEndpoint),
      createPeer: () => ({ options: createPeer().options }),
      patience: PATIENCE,
    }
    const owner = { after: () => {}, skip: () => {} }
    await assert.rejects(runCheck(test, sourceChecks[0] as Check, owner), /has a source: give its peer an 'emit'/)
    await assert.rejects(runCheck(test, targetChecks[0] as Check, owner), /has a target: give its peer a 'received'/)
  })
})
