/** Floor 3. What an endpoint subscribes to at the beginning of each connection. */
import { ErrorWithSubackPacket, type ISubscriptionMap } from 'mqtt'
import { quote } from '../../config/words.ts'
import { filtersOf, usesNoLocal } from './checks.ts'
import type { Connection } from './connection.ts'
import type { MqttOptions } from './options.ts'
import { reasonText } from './reasons.ts'

/** Source: MQTT 5, section 3.8.3.1. */
const RETAIN_HANDLING = { send: 0, new: 1, never: 2 } as const
/** A reason code of a SUBACK from here on is a refusal. */
const REFUSED = 0x80

/** @throws Error that names the filter that the broker does not grant. */
export async function subscribe(connection: Connection, options: MqttOptions): Promise<void> {
  const { qos, share, version } = options
  const rh = RETAIN_HANDLING[options['retain-handling'] ?? 'new']
  const filters = filtersOf(options)
  const entries = filters.map((filter) => {
    const name = share === undefined ? filter : `$share/${share}/${filter}`
    return [name, version === 5 ? { qos, rh, nl: usesNoLocal(options), rap: false } : { qos }] as const
  })
  const granted = await grants(connection, Object.fromEntries(entries) as ISubscriptionMap)
  for (const [index, filter] of filters.entries()) {
    const level = granted[index] ?? REFUSED
    if (level >= REFUSED) {
      throw new Error(`the broker refused the subscription to ${quote(filter)}: ${reasonText(level)}`)
    }
    // What comes at QoS 0 cannot be acknowledged, and the lanes count on that.
    if (qos > 0 && level === 0) {
      throw new Error(`the broker grants QoS 0 for ${quote(filter)}, which keeps nothing: set 'qos: 0' if that will do`)
    }
  }
}

/** A reason code for each filter, refusals among them. */
async function grants(connection: Connection, filters: ISubscriptionMap): Promise<readonly number[]> {
  try {
    return await connection.subscribe(filters)
  } catch (error) {
    // MQTT.js throws for a refusal, and for a connection that broke meanwhile: then there is no packet.
    const packet = error instanceof ErrorWithSubackPacket ? error.packet : undefined
    if (packet === undefined) throw error
    return packet.granted as number[]
  }
}
