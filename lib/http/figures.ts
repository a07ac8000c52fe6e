/** Floor 3. Reading an endpoint's figures. */
import type { Figures } from '../endpoint.ts'
import type { EndpointView } from '../view.ts'

/** An endpoint type may be somebody else's code: if its figures cannot be read, the others' are still shown. */
export function figuresOf(endpoint: EndpointView, kind: 'counters' | 'gauges'): Readonly<Figures> {
  try {
    return endpoint[kind]
  } catch {
    return {}
  }
}
