/**
 * Floor 1. Loops: lanes by which a message would come back to where it was, over and over, because a lane's target is
 * heard by the source of the next one.
 *
 * A loop that the hop header breaks at run time is a warning, any other an error, drawn where the lane stands that
 * closes it. Dead letters are lanes here, too: what fails for good would fail in each round.
 */
import { carriesHops } from '../hops.ts'
import type { Capabilities } from '../types.ts'
import { CycleFinder, type Edge } from './cycles.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { LaneConfig, RouteConfig } from './routes.ts'
import { quote } from './words.ts'

export interface LoopInit {
  readonly routes: readonly RouteConfig[]
  /** By an endpoint's name; undefined where errors leave them unknown. */
  readonly capabilitiesOf: (name: string) => Capabilities | undefined
  /** Whether what the one endpoint sends comes in at the other, by their names. Not asked of an endpoint and itself. */
  readonly hears: (listener: string, sender: string) => boolean
  readonly offsetOf: (lane: LaneConfig) => number | undefined
}

/** No more loops than this are drawn. */
const MAX_LOOPS = 20
/** The ends of a long loop that are drawn. */
const MAX_DRAWN = 16

interface Hop extends Edge {
  /** Undefined where a source hears a target: such a hop leads from the one to the other. */
  readonly lane: LaneHop | undefined
  /** The endpoint that it leads to. */
  readonly name: string
  /** Headers go along. */
  readonly guarded: boolean
}

interface LaneHop {
  readonly source: string
  readonly config: LaneConfig
  /** In the order of the config. */
  readonly index: number
  readonly isDeadLetter: boolean
}

/** Reports every loop once. Lanes that may loop are left out. */
export function reportLoops(init: LoopInit, diagnostics: Diagnostics): void {
  const { nodes, hops } = hopsOf(init)
  const finder = new CycleFinder(nodes, hops)
  const drawn = new Set<Hop>()
  let loops = 0
  // First what no header guards: an error must not hide behind twenty warnings.
  const unguarded = hops.filter(({ guarded }) => !guarded)
  const lanes = hops.filter(({ lane }) => lane !== undefined)
  for (const hop of [...unguarded, ...lanes]) {
    if (drawn.has(hop)) continue
    const cycle = finder.shortestWith(hop)
    if (cycle === undefined) continue
    for (const each of cycle) drawn.add(each)
    if (++loops > MAX_LOOPS) break
    report(cycle, init, diagnostics)
  }
  if (loops > MAX_LOOPS) diagnostics.warning(`there are more loops than the ${MAX_LOOPS} that are drawn`)
}

/**
 * Two nodes for each endpoint, one where messages come in and one where they go out: a lane leads from the first of its
 * source to the second of its target, and whoever hears that leads on.
 */
function hopsOf({ routes, capabilitiesOf, hears }: LoopInit): { nodes: number; hops: Hop[] } {
  const sources = new Map<string, number>()
  const targets = new Map<string, number>()
  const hops: Hop[] = []
  let nodes = 0
  for (const { source, lanes } of routes) if (lanes.length > 0) sources.set(source, nodes++)
  let index = 0
  for (const { source, lanes } of routes) {
    for (const config of lanes) {
      const { deadLetter } = config.delivery
      const ends = [{ name: config.to, isDeadLetter: false }]
      if (deadLetter !== undefined) ends.push({ name: deadLetter, isDeadLetter: true })
      for (const { name, isDeadLetter } of ends) {
        const lane = { source, config, index: index++, isDeadLetter }
        if (config.mayLoop === true) continue
        if (!targets.has(name)) targets.set(name, nodes++)
        const guarded = !isDeadLetter && carriesHops(capabilitiesOf(name)?.target)
        hops.push({ from: sources.get(source) as number, to: targets.get(name) as number, lane, name, guarded })
      }
    }
  }
  for (const [sender, from] of targets) {
    for (const [name, to] of sources) {
      const { source, target } = capabilitiesOf(name) ?? {}
      const isHeard = name === sender ? target?.echo === true : hears(name, sender)
      if (!isHeard) continue
      const guarded = source?.headers === true
      hops.push({ from, to, lane: undefined, name, guarded })
    }
  }
  return { nodes, hops }
}

function report(cycle: readonly Hop[], { offsetOf }: LoopInit, diagnostics: Diagnostics): void {
  const lanes = cycle.flatMap(({ lane }) => lane ?? [])
  const { source, config } = lanes.reduce((last, lane) => (lane.index > last.index ? lane : last))
  const label = `route ${quote(source)} → ${quote(config.to)}`
  const drawing = `loop: ${draw(cycle)}`
  const place = offsetOf(config)
  if (cycle.every(({ guarded }) => guarded)) {
    const guard = 'each message is delivered to each of them once, by its header araldo-hops'
    diagnostics.warning(`${label}: ${drawing}: ${guard}`, place)
    return
  }
  const why = lanes.some(({ isDeadLetter }) => isDeadLetter)
    ? 'what cannot be delivered would go round for ever'
    : 'messages would go round for ever'
  const advice = "take one of these lanes out, or, if a step of one ends the loop, set 'may-loop: true' there"
  diagnostics.error(`${label}: ${drawing}: ${why}; ${advice}`, place)
}

/** `a → b (heard by c) → d (heard by a)`, from the lane that stands first in the config; `a → b → a` where each hears itself. */
function draw(cycle: readonly Hop[]): string {
  const indexes = cycle.map(({ lane }) => lane?.index ?? Infinity)
  const start = indexes.indexOf(Math.min(...indexes))
  const hops = [...cycle.slice(start), ...cycle.slice(0, start)]
  let text = hops[0]?.lane?.source ?? ''
  let ends = 0
  let previous = ''
  for (const { lane, name } of hops) {
    if (lane === undefined) {
      if (name !== previous) text += ` (heard by ${name})`
    } else {
      if (++ends > MAX_DRAWN) return `${text} → … (${hops.length / 2 - MAX_DRAWN} more)`
      text += lane.isDeadLetter ? ` → dead letters to ${name}` : ` → ${name}`
    }
    previous = name
  }
  return text
}
