/** Floor 3. What an endpoint's options are to MQTT.js. */
import type { IClientOptions } from 'mqtt'
import { tlsOptions } from '../common/tls.ts'
import { parseUrl, usesTls } from './address.ts'
import { hasSession } from './checks.ts'
import { DEFAULT_RECEIVE_MAXIMUM, DEFAULT_SESSION_EXPIRY, type MqttOptions } from './options.ts'

/** TCP, TLS and MQTT must be through by then (milliseconds). */
const CONNECT_TIMEOUT = 9_000

/**
 * Reads the certificates anew: they are renewed while a relay runs.
 * @param directory what their files are relative to.
 * @throws ARALDO_ERR_CONFIG where one cannot be read.
 */
export async function clientOptions(
  options: MqttOptions,
  clientId: string,
  directory: string,
): Promise<IClientOptions> {
  const address = parseUrl(options.url)
  const { protocol, port, path } = address
  const { username = address.username, password = address.password, keepalive, version } = options
  const isWebSocket = protocol === 'ws' || protocol === 'wss'
  const host = isWebSocket && address.host.includes(':') ? `[${address.host}]` : address.host
  const tls = usesTls(address) ? await tlsOptions(options.tls ?? true, directory) : undefined
  return {
    protocol,
    host,
    port,
    clientId,
    clean: !hasSession(options),
    // Of the protocol: whole seconds.
    keepalive: Math.round(keepalive / 1_000),
    connectTimeout: CONNECT_TIMEOUT,
    protocolVersion: version === 5 ? 5 : 4,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(version === 5 ? { properties: propertiesOf(options) } : {}),
    ...(isWebSocket
      ? { path, wsOptions: { ...tls, maxPayload: options['max-packet-size'] } }
      : (tls as IClientOptions)),
  }
}

/** Source: MQTT 5, section 3.1.2.11. */
function propertiesOf(options: MqttOptions): NonNullable<IClientOptions['properties']> {
  const { 'session-expiry': expiry = DEFAULT_SESSION_EXPIRY } = options
  const { 'receive-maximum': receiveMaximum = DEFAULT_RECEIVE_MAXIMUM } = options
  return {
    receiveMaximum,
    maximumPacketSize: options['max-packet-size'],
    sessionExpiryInterval: hasSession(options) ? Math.ceil(expiry / 1_000) : 0,
  }
}
