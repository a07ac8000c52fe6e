import { before, describe } from 'node:test'
import { endpointRedisStream } from '../../lib/endpoints/redis/stream/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createRedisStreamPeer } from '../peers/redis-stream.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'

let redis: RedisServer

describe('Redis Streams', { skip: need('redis-server') }, () => {
  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  })
  testEndpoint({ type: endpointRedisStream, createPeer: () => createRedisStreamPeer(redis) })
})
