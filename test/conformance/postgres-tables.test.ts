import { before, describe } from 'node:test'
import { endpointPostgres } from '../../lib/endpoints/postgres/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createPostgresOutboxPeer } from '../peers/postgres.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { need } from '../support/require.ts'

describe('PostgreSQL, an outbox and a table', { skip: need('initdb', 'postgres') }, () => {
  let server: PostgresServer
  before(async () => {
    // What is committed must be there after a crash.
    server = await startPostgres({ settings: { synchronous_commit: 'on' } })
  })
  testEndpoint({ type: endpointPostgres, createPeer: () => createPostgresOutboxPeer(server) })
})
