import { before, describe } from 'node:test'
import { endpointRedis } from '../../lib/endpoints/redis/pubsub/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createRedisPeer } from '../peers/redis.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { need } from '../support/require.ts'

let redis: RedisServer

describe('Redis', { skip: need('redis-server') }, () => {
  before(async () => {
    redis = await startRedis()
  })
  testEndpoint({ type: endpointRedis, createPeer: () => createRedisPeer(redis) })
})
