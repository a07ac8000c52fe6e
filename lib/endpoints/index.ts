/** Floor 3. The built-in endpoint types. */
import type { EndpointType } from '../endpoint.ts'
import { endpointAmqp } from './amqp/index.ts'
import { endpointApp } from './app.ts'
import { endpointHttp } from './http/index.ts'
import { endpointMock } from './mock.ts'
import { endpointMqtt } from './mqtt/index.ts'
import { endpointJetStream } from './nats/jetstream/index.ts'
import { endpointNats } from './nats/core/index.ts'
import { endpointPostgres } from './postgres/index.ts'
import { endpointRedis } from './redis/pubsub/index.ts'
import { endpointRedisStream } from './redis/stream/index.ts'
import { endpointWebSocketClient } from './websocket-client/index.ts'
import { endpointWebSocket } from './websocket/index.ts'

export const builtinEndpoints: readonly EndpointType[] = [
  endpointAmqp,
  endpointApp,
  endpointHttp,
  endpointJetStream,
  endpointMock,
  endpointMqtt,
  endpointNats,
  endpointPostgres,
  endpointRedis,
  endpointRedisStream,
  endpointWebSocket,
  endpointWebSocketClient,
]
