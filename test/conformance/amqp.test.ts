import { before, describe } from 'node:test'
import { endpointAmqp } from '../../lib/endpoints/amqp/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createAmqpPeer } from '../peers/amqp.ts'
import { type RabbitmqServer, startRabbitmq } from '../support/rabbitmq.ts'
import { need } from '../support/require.ts'

describe('RabbitMQ', { skip: need('rabbitmq-server', 'rabbitmqctl', 'epmd') }, () => {
  let rabbitmq: RabbitmqServer
  before(async () => {
    rabbitmq = await startRabbitmq()
  })
  testEndpoint({ type: endpointAmqp, createPeer: () => createAmqpPeer(rabbitmq), patience: 30_000 })
})
