/** Floor 2. What an application adds to a single endpoint's routes. */
import type { onRequestAsyncHookHandler, preHandlerAsyncHookHandler, preValidationAsyncHookHandler } from 'fastify'

/** Hooks of the host for one endpoint's own route: authentication, rate limits. Given in code, not in the config. */
export interface EndpointHooks {
  readonly onRequest?: onRequestAsyncHookHandler | onRequestAsyncHookHandler[]
  readonly preValidation?: preValidationAsyncHookHandler | preValidationAsyncHookHandler[]
  readonly preHandler?: preHandlerAsyncHookHandler | preHandlerAsyncHookHandler[]
}
