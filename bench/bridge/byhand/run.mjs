/**
 * What one writes by hand: takes messages from one place, gives them to another, and acknowledges what the other has
 * confirmed. Takes `{ source, target, window }` as JSON: at most `window` messages are not confirmed at a time.
 *
 * A source hands over what came in together, and does not go on while the promise that it gets is not settled. A target
 * resolves when it has all of them. What fails ends the process: whoever watches it starts it again, and the source
 * sends again what was not acknowledged.
 */
const { source, target, window } = JSON.parse(process.argv[2])
const { openSource } = await import(`./${source.kind}.mjs`)
const { openTarget } = await import(`./${target.kind}.mjs`)

const { send } = await openTarget(target)
let unconfirmed = 0
let goOn

await openSource(source, window, (messages, acknowledge) => {
  unconfirmed += messages.length
  send(messages)
    .then(() => {
      acknowledge?.(messages)
      unconfirmed -= messages.length
      goOn?.()
    })
    .catch((error) => {
      console.error(error)
      process.exit(1)
    })
  return unconfirmed < window ? undefined : new Promise((resolve) => (goOn = resolve))
})
console.log('running')
process.once('SIGTERM', () => process.exit())
