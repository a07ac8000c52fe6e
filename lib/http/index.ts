/** Floor 3. The routes that show the relay to monitors and people: health, metrics, console. */
import type { FastifyInstance } from 'fastify'
import type { RelayView } from '../view.ts'

export interface MonitoringOptions {
  readonly health?: boolean
}

export async function registerMonitoring(
  _scope: FastifyInstance,
  _relay: RelayView,
  _options: MonitoringOptions,
): Promise<void> {}
