/** Floor 3. `endpoint-websocket-client`: a connection to another WebSocket server, which may be another araldo. */
import { defineEndpoint } from '../../endpoint.ts'
import { checkTlsFiles } from '../common/tls.ts'
import { capabilities, check, hears } from './checks.ts'
import { WebSocketClientEndpoint } from './endpoint.ts'
import { schema, type WebSocketClientOptions } from './options.ts'

export type { WebSocketClientOptions }

export const endpointWebSocketClient = defineEndpoint<WebSocketClientOptions>({
  id: 'endpoint-websocket-client',
  description: 'A connection to another WebSocket server: what it sends comes in, what is sent here goes to it.',
  schema,
  adoptsRoutes: true,
  check,
  capabilities,
  hears,
  plugin: async (_scope, context) => {
    await checkTlsFiles(context, context.options.tls)
    context.attach(new WebSocketClientEndpoint(context))
  },
})
