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

// The plugin, and what it decorates the server with.
export { createRegistries, type AraldoOptions, type CommonOptions, type ConfigObject } from './plugin.ts'
export type { Araldo, PublishOptions, Reloaded } from './relay.ts'
export type { Change, Changes, ConfigDiff } from './reload/diff.ts'
export type { IterateOptions, MessageHandler, SubscribeOptions } from './endpoints/app.ts'
export { MockEndpoint, type KeptMessage, type MockOptions } from './endpoints/mock.ts'
export type { ConsoleOptions, HealthOptions, MetricsOptions, MonitoringOptions } from './http/index.ts'
export type { MetricsRegistry } from './http/metrics.ts'
export type { ConfigurationView, EndpointView, LaneView, RelayView, RouteView } from './view.ts'
export type { Lane, Outcome, Settlement, Step, Trace } from './delivery/lane.ts'
export type { Ledger, LedgerSnapshot } from './ledger.ts'

// For steps of one's own: a module's function.
export type { StepContext, StepFunction, StepResult, StepVerdict } from './steps/function.ts'

// The configuration.
export {
  ConfigError,
  formatDiagnostic,
  loadConfig,
  type Config,
  type Diagnostic,
  type EndpointConfig,
  type GlobalConfig,
  type LaneConfig,
  type LoadOptions,
  type MarshallerConfig,
  type PluginRegistries,
  type RouteConfig,
  type StepConfig,
} from './config.ts'
export { configSchema } from './schema.ts'
export type { Expression } from './expression.ts'
export type { Template } from './template.ts'

// For endpoint types and marshallers of one's own.
export {
  defineEndpoint,
  defineMarshaller,
  Endpoint,
  type Accept,
  type EndpointContext,
  type EndpointHooks,
  type EndpointType,
  type Figures,
  type MarshallerType,
  type OptionIssue,
} from './endpoint.ts'
export type { StateListener } from './link.ts'
export { Message, type Marshaller, type MessageChange, type MessageInit } from './message.ts'
export { duration, size, type QuantityOptions } from './schema.ts'
export { compileTemplate, type TemplateOptions } from './template.ts'
export type { Identified, Registry } from './registry.ts'
export {
  errors,
  type AraldoError,
  type AraldoErrorCode,
  type AraldoErrorConstructor,
  type AraldoErrorName,
} from './errors.ts'
export {
  DROP_REASONS,
  LOG_LEVELS,
  type Capabilities,
  type DropReason,
  type EndpointState,
  type Headers,
  type JsonSchema,
  type LogLevel,
  type Settle,
  type SourceCapabilities,
  type TargetCapabilities,
} from './types.ts'
