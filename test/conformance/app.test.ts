import { endpointApp } from '../../lib/endpoints/app.ts'
import { testEndpoint } from '../../lib/testing/index.ts'
import { createAppPeer } from '../peers/app.ts'

testEndpoint({ type: endpointApp, createPeer: createAppPeer })
