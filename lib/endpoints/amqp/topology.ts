/** Floor 3. What an endpoint needs at its broker: made where the config says so, looked for otherwise. */
import type { Channel, Options } from 'amqplib'
import type { AmqpOptions, Arguments, DeclareOptions } from './options.ts'
import { plainError } from './reasons.ts'

/**
 * Exchanges first, then the queue, then what leads into it. All of it may be there already, as it would be made.
 * @param needsQueue whether the queue is to be read.
 * @throws Error with the broker's words.
 */
export async function prepare(channel: Channel, options: AmqpOptions, needsQueue: boolean): Promise<void> {
  const { queue, exchange, declare } = options
  try {
    if (declare !== undefined && declare !== false) await make(channel, queue, declare === true ? {} : declare)
    else if (queue !== undefined && needsQueue) await channel.checkQueue(queue)
    if (exchange !== undefined && exchange !== '') await channel.checkExchange(exchange)
  } catch (error) {
    throw new Error(advised(plainError(error).message, declare), { cause: error })
  }
}

async function make(channel: Channel, queue: string | undefined, declare: DeclareOptions): Promise<void> {
  const { type = 'quorum', durable = true, bindings = [], exchanges = [] } = declare
  for (const { name, type: kind, arguments: table, ...exchange } of exchanges) {
    await channel.assertExchange(name, kind, {
      durable: exchange.durable ?? true,
      autoDelete: exchange['auto-delete'] ?? false,
      ...withArguments(table),
    })
  }
  if (queue === undefined) return
  const settings: Options.AssertQueue = {
    durable,
    autoDelete: declare['auto-delete'] ?? false,
    arguments: { ...declare.arguments, 'x-queue-type': type },
  }
  await channel.assertQueue(queue, settings)
  for (const { exchange, 'routing-key': key = '', arguments: table } of bindings) {
    await channel.bindQueue(queue, exchange, key, table)
  }
}

function withArguments(table: Arguments | undefined): { arguments?: Arguments } {
  return table === undefined ? {} : { arguments: table }
}

function advised(message: string, declare: unknown): string {
  if (message.startsWith('404') && (declare === undefined || declare === false)) {
    return `${message}: make it, or let the relay do so with 'declare'`
  }
  if (message.startsWith('406') && message.includes('inequivalent arg')) {
    return `${message}: make 'declare' say the same, or delete what is there`
  }
  return message
}
