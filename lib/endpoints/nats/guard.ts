/**
 * Floor 3. Watches what a server says once it has let the client in. The library writes what it cannot read to the console,
 * with all that is in it, hears nothing more from then on, and keeps what still comes; and it believes every length.
 *
 * Source: "Client Protocol", NATS documentation.
 */
import type { NatsConnection } from '@nats-io/transport-node'

/** Bytes of a line: INFO names the servers of a cluster, all others are short. */
const MAX_LINE = 1024 * 1024
/** Bytes of a message with its headers: no server takes more. Source: nats-server, `MAX_PAYLOAD_MAX_SIZE`. */
const MAX_MESSAGE = 64 * 1024 * 1024
/**
 * Within so many milliseconds so many PINGs have an answer, which costs a hundred times a PING where the server does not
 * read it. Servers ask every two minutes.
 */
const PING_WINDOW = 10_000
const MAX_PINGS = 1_000

/** The library's parser, between two pieces of the stream. */
interface Parser {
  parse(bytes: Uint8Array): void
  /** A line whose end has not come. */
  readonly argBuf?: { readonly length: number }
  /** The message that is being read, or was last. */
  readonly ma?: { readonly size: number }
}

interface Protocol {
  readonly parser: Parser
  /** Answers a PING. */
  processPing(): void
}

/** @param onBroken called once, at the first thing that is wrong: nothing more of the server is read. Must not throw. */
export function guard(client: NatsConnection, onBroken: (error: Error) => void): void {
  const { protocol } = client as unknown as { readonly protocol: Protocol }
  const { parser } = protocol
  const parse = parser.parse.bind(parser)
  const answerPing = protocol.processPing.bind(protocol)
  let isBroken = false
  let [pings, since] = [0, 0]
  const fail = (problem: string): void => {
    if (isBroken) return
    isBroken = true
    onBroken(new Error(`the server sent ${problem}`))
  }
  parser.parse = (bytes) => {
    const problem = isBroken ? undefined : problemOf(parser, parse, bytes)
    if (problem !== undefined) fail(problem)
  }
  protocol.processPing = () => {
    const now = performance.now()
    if (now - since > PING_WINDOW) [pings, since] = [0, now]
    if (++pings <= MAX_PINGS) answerPing()
    else fail(`more than ${MAX_PINGS} PINGs in ${PING_WINDOW} ms`)
  }
}

function problemOf(parser: Parser, parse: Parser['parse'], bytes: Uint8Array): string | undefined {
  try {
    parse(bytes)
  } catch {
    // Its words are the server's, and may be a part of a message.
    return 'what is not the protocol of NATS'
  }
  if ((parser.argBuf?.length ?? 0) > MAX_LINE) return `a line of more than ${MAX_LINE} bytes`
  return (parser.ma?.size ?? 0) > MAX_MESSAGE ? `a message of more than ${MAX_MESSAGE} bytes` : undefined
}
