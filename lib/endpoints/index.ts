/** Floor 3. The built-in endpoint types. */
import type { EndpointType } from '../endpoint.ts'
import { endpointApp } from './app.ts'
import { endpointMock } from './mock.ts'

export const builtinEndpoints: readonly EndpointType[] = [endpointApp, endpointMock]
