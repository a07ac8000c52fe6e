import { before, describe } from 'node:test'
import { endpointPostgres } from '../../lib/endpoints/postgres/index.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createPostgresPeer } from '../peers/postgres.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { need } from '../support/require.ts'

describe('PostgreSQL, LISTEN and NOTIFY', { skip: need('initdb', 'postgres') }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  testEndpoint({ type: endpointPostgres, createPeer: () => createPostgresPeer(server) })
})
