/** A step of a lane: adds its price to each line of an order. */

const PRICES = new Map([
  ['tea', 4.5],
  ['cup', 12],
])

/**
 * Stands for a service that is asked for a price.
 *
 * @param {string} item
 * @param {AbortSignal} signal
 */
async function priceOf(item, signal) {
  signal.throwIfAborted()
  return PRICES.get(item)
}

/** @type {import('araldo').StepFunction} */
export default async function enrich(message, { signal }) {
  const order = /** @type {{ lines: { item: string, count: number }[] }} */ (message.body)
  const lines = await Promise.all(
    order.lines.map(async (line) => ({ ...line, price: await priceOf(line.item, signal) })),
  )
  const unknown = lines.find((line) => line.price === undefined)
  if (unknown !== undefined) throw new Error(`no price for ${unknown.item}`)
  return { body: { ...order, lines } }
}
