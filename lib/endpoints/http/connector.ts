/** Floor 3. Connections of webhooks, to addresses that they may go to only. */
import { lookup as resolveName } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { buildConnector } from 'undici'
import type { AddressFilter } from './networks.ts'

export interface ConnectorInit {
  readonly isAllowed: AddressFilter
  readonly tls: ConnectionOptions | undefined
  /** Milliseconds. */
  readonly timeout: number
}

/**
 * Every address that a name resolves to is looked at when a connection is made, and the socket gets those that are
 * allowed: what the name resolves to at another moment makes no difference.
 */
export function createConnector({ isAllowed, tls, timeout }: ConnectorInit): buildConnector.connector {
  const connect = buildConnector({ ...tls, timeout, allowH2: false, lookup: guardedLookup(isAllowed) })
  return (options, callback) => {
    const host = options.hostname.replace(/^\[|\]$/g, '')
    // A literal address is resolved by nobody.
    if (isIP(host) !== 0 && !isAllowed(host)) callback(refusal(host), null)
    else connect(options, callback)
  }
}

/** The system's resolution, less what is not allowed. */
export function guardedLookup(isAllowed: AddressFilter, resolve: typeof resolveName = resolveName): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const allowed = addresses.filter(({ address }) => isAllowed(address))
      const [first] = allowed
      if (first === undefined) callback(refusal(addresses.map(({ address }) => address).join(', ')), [])
      else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

function refusal(where: string): Error {
  return new Error(`the receiver is at ${where}, which is not public: name it in 'allow-private', if it is meant`)
}
