/** A process with an endpoint of MQTT that settles nothing: it writes a line for each message, and waits to be killed. */
import { startMqtt } from './support.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as Parameters<typeof startMqtt>[1]
await startMqtt({ after: () => {} }, options, {
  onIncoming: ({ text }) => void process.stdout.write(`holds ${text}\n`),
})
process.stdout.write('up\n')
