/**
 * araldo: a relay between browsers and message brokers, and between brokers, as a Fastify plugin.
 *
 *     await fastify.register(araldo, { config: 'araldo.yaml' })
 *
 * @packageDocumentation
 */
import araldo from './plugin.ts'

export default araldo
export { araldo }
export { createRegistries, type AraldoOptions, type ConfigObject } from './plugin.ts'
export type { Araldo, PublishOptions } from './relay.ts'
export { ConfigError, loadConfig, type Config, type Diagnostic } from './config.ts'
export {
  defineEndpoint,
  defineMarshaller,
  Endpoint,
  type EndpointContext,
  type EndpointHooks,
  type EndpointType,
  type MarshallerType,
} from './endpoint.ts'
export type { MessageHandler } from './endpoints/app.ts'
export { errors, type AraldoError, type AraldoErrorCode } from './errors.ts'
export type { LedgerSnapshot } from './ledger.ts'
export { Message, type Marshaller, type MessageInit } from './message.ts'
export { duration, size } from './schema.ts'
export type {
  Capabilities,
  DropReason,
  EndpointState,
  Headers,
  JsonSchema,
  Settle,
  SourceCapabilities,
  TargetCapabilities,
} from './types.ts'
export type { EndpointView, LaneView, RelayView, RouteView } from './view.ts'
