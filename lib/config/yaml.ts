/**
 * Floor 1. YAML text to a tree that knows its places. js-yaml reads the text into events; they are put together here,
 * so that every node keeps its offset, and so that all duplicate keys of a file are found, not the first alone.
 *
 * YAML 1.2's core schema; anchors, aliases and merge keys (`<<`) within bounds: what a few aliases stand for can be
 * exponentially large.
 */
import {
  boolCoreTag,
  EVENT_ID,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  YAMLException,
  type AliasEvent,
  type Event,
  type MappingEvent,
  type ScalarEvent,
  type SequenceEvent,
} from 'js-yaml'
import type { Diagnostics, Source } from './diagnostics.ts'
import {
  isForbiddenKey,
  MAX_DEPTH,
  MAX_NODES,
  scalar,
  type ConfigNode,
  type MapEntry,
  type MapNode,
  type Scalar,
  type ScalarNode,
} from './node.ts'
import { oneLine, quote } from './words.ts'

const MAX_ALIASES = 1000

const CORE_TAGS = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag]
const EXPLICIT_TAGS = new Map(
  Object.entries({ '!!null': nullCoreTag, '!!bool': boolCoreTag, '!!int': intCoreTag, '!!float': floatCoreTag }),
)

/** What an unquoted scalar means in YAML's core schema. */
export function readPlain(text: string): Scalar {
  for (const tag of CORE_TAGS) {
    const value = tag.resolve(text, false, tag.tagName)
    if (value !== NOT_RESOLVED) return value
  }
  return text
}

/** @returns undefined where an error was reported that leaves nothing to go on with. */
export function parseYaml(source: Source, diagnostics: Diagnostics): ConfigNode | undefined {
  try {
    const events = parseEvents(source.text, { maxDepth: MAX_DEPTH })
    return new Composer(source.text, events, diagnostics).compose()
  } catch (error) {
    if (error instanceof Stop) diagnostics.error(error.message, error.offset)
    else if (error instanceof YAMLException) {
      const hint = hintAt(source.text, error.mark?.position ?? 0)
      diagnostics.error(`not YAML: ${oneLine(error.reason)}${hint}`, error.mark?.position)
    } else diagnostics.error(`not YAML: ${oneLine(String(error))}`)
    return undefined
  }
}

/** Braces mean something to YAML within a map or list on one line: a variable there needs quotes. */
function hintAt(text: string, position: number): string {
  const lineStart = text.lastIndexOf('\n', position - 1) + 1
  // The parser stops at the brace or behind it.
  const start = text.lastIndexOf('${', position)
  if (start < lineStart || /["']/.test(text.charAt(start - 1))) return ''
  const [variable] = /^[^}\r\n]{0,100}\}?/.exec(text.slice(start, start + 100)) as RegExpExecArray
  return `; within { } and [ ], ${quote(variable)} must stand in quotes`
}

/** An error that ends the reading. */
class Stop extends Error {
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

/** A node with what it would be if its aliases were written out. */
interface Composed {
  readonly node: ConfigNode
  readonly size: number
  readonly depth: number
}

class Composer {
  readonly #text: string
  readonly #events: readonly Event[]
  readonly #diagnostics: Diagnostics
  /** `undefined` while the node is still open: an alias to it would hold itself. */
  readonly #anchors = new Map<string, Composed | undefined>()
  #index = 0
  #aliases = 0

  constructor(text: string, events: readonly Event[], diagnostics: Diagnostics) {
    this.#text = text
    this.#events = events
    this.#diagnostics = diagnostics
  }

  compose(): ConfigNode | undefined {
    if (this.#events.length === 0) return this.#empty()
    this.#next()
    const { node } = this.#node(0)
    this.#next()
    if (this.#index < this.#events.length) {
      this.#next()
      throw new Stop(
        'a second document starts here: a config is one YAML document',
        this.#node(this.#text.length).node.offset as number,
      )
    }
    return node.kind === 'scalar' && node.value === null ? this.#empty() : node
  }

  #empty(): undefined {
    this.#diagnostics.error('the config is empty')
    return undefined
  }

  #next(): Event {
    return this.#events[this.#index++] as Event
  }

  /** @param fallback the place of a node that has none: nothing stands there. */
  #node(fallback: number): Composed {
    const event = this.#next()
    switch (event.type) {
      case EVENT_ID.SCALAR:
        return this.#anchored(event, () => ({ node: this.#scalar(event, fallback), size: 1, depth: 1 }))
      case EVENT_ID.SEQUENCE:
        return this.#anchored(event, () => this.#list(event))
      case EVENT_ID.MAPPING:
        return this.#anchored(event, () => this.#map(event))
      case EVENT_ID.ALIAS:
        return this.#alias(event)
      case EVENT_ID.DOCUMENT:
      case EVENT_ID.POP:
        break
    }
    throw new Stop('not YAML: the document ends too early', fallback)
  }

  #anchored(event: ScalarEvent | SequenceEvent | MappingEvent, compose: () => Composed): Composed {
    if (event.anchorStart < 0) return compose()
    const name = this.#text.slice(event.anchorStart, event.anchorEnd)
    this.#anchors.set(name, undefined)
    const composed = compose()
    this.#anchors.set(name, composed)
    return composed
  }

  #alias(event: AliasEvent): Composed {
    const name = this.#text.slice(event.anchorStart, event.anchorEnd)
    const offset = event.anchorStart - 1
    if (++this.#aliases > MAX_ALIASES) throw new Stop(`more than ${MAX_ALIASES} aliases`, offset)
    const composed = this.#anchors.get(name)
    if (composed !== undefined) return composed
    throw new Stop(
      this.#anchors.has(name) ? `alias ${quote(name)} stands within itself` : `no anchor is named ${quote(name)}`,
      offset,
    )
  }

  #scalar(event: ScalarEvent, fallback: number): ScalarNode {
    const text = getScalarValue(this.#text, event)
    const { valueStart, valueEnd, style } = event
    const tag = event.tagStart < 0 ? undefined : this.#text.slice(event.tagStart, event.tagEnd)
    const offset = valueStart < 0 ? (tag === undefined ? fallback : event.tagStart) : this.#startOf(event)
    const verbatim = valueStart >= 0 && this.#text.slice(valueStart, valueEnd) === text
    const plain = style === SCALAR_STYLE.PLAIN && tag === undefined
    const value = plain ? readPlain(text) : this.#tagged(text, tag, offset)
    return scalar(value, text, { offset, plain, textOffset: verbatim ? valueStart : undefined })
  }

  /** Of a scalar that has text: its quote, or the first of its lines. */
  #startOf({ style, valueStart }: ScalarEvent): number {
    if (style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED) return valueStart - 1
    const isBlock = style === SCALAR_STYLE.LITERAL_BLOCK || style === SCALAR_STYLE.FOLDED_BLOCK
    return isBlock ? this.#text.slice(valueStart).search(/\S|$/) + valueStart : valueStart
  }

  #tagged(text: string, tag: string | undefined, offset: number): Scalar {
    if (tag === undefined || tag === '!' || tag === '!!str') return text
    const known = EXPLICIT_TAGS.get(tag)
    const value = known?.resolve(text, true, known.tagName)
    if (value !== undefined && value !== NOT_RESOLVED) return value
    this.#diagnostics.error(`the tag ${quote(tag)} means nothing here`, offset)
    return text
  }

  #list(event: SequenceEvent): Composed {
    this.#checkTag(event, '!!seq')
    const items: ConfigNode[] = []
    const measure = new Measure(event.start)
    while (this.#events[this.#index]?.type !== EVENT_ID.POP) {
      const item = this.#node(event.start)
      measure.add(item)
      items.push(item.node)
    }
    this.#next()
    return { node: { kind: 'list', offset: event.start, items }, size: measure.size, depth: measure.depth }
  }

  #map(event: MappingEvent): Composed {
    this.#checkTag(event, '!!map')
    const entries = new Map<string, MapEntry>()
    const merged: MapNode[] = []
    const measure = new Measure(event.start)
    while (this.#events[this.#index]?.type !== EVENT_ID.POP) {
      const before = this.#events[this.#index]
      const key = this.#node(event.start).node
      const offset = key.offset as number
      const value = this.#node(offset)
      measure.add(value)
      if (key.kind !== 'scalar')
        this.#diagnostics.error(`a key must be text, this is ${key.kind === 'list' ? 'a list' : 'a map'}`, offset)
      else if (key.plain && key.text === '<<' && before?.type === EVENT_ID.SCALAR)
        merged.push(...this.#merges(value.node, offset))
      else this.#enter(entries, { key: key.text, offset, value: value.node })
    }
    this.#next()
    this.#merge(entries, merged)
    return { node: { kind: 'map', offset: event.start, entries }, size: measure.size, depth: measure.depth }
  }

  #enter(entries: Map<string, MapEntry>, entry: MapEntry): void {
    const { key, offset } = entry
    if (isForbiddenKey(key)) this.#diagnostics.error(`the key ${quote(key)} is not allowed`, offset)
    else if (entries.has(key)) this.#diagnostics.error(`duplicate key ${quote(key)}: it is in this map already`, offset)
    else entries.set(key, entry)
  }

  /** What a merge key merges: a map, or a list of maps. */
  #merges(node: ConfigNode, offset: number): MapNode[] {
    const nodes = node.kind === 'list' ? node.items : [node]
    const maps = nodes.filter((each) => each.kind === 'map')
    if (maps.length < nodes.length)
      this.#diagnostics.error("'<<' merges maps: expected a map or a list of maps", offset)
    return maps
  }

  /** Keys of the map's own win, then those of the maps that are named earlier. */
  #merge(entries: Map<string, MapEntry>, maps: readonly MapNode[]): void {
    for (const map of maps) {
      for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry)
    }
  }

  #checkTag(event: SequenceEvent | MappingEvent, expected: string): void {
    if (event.tagStart < 0) return
    const tag = this.#text.slice(event.tagStart, event.tagEnd)
    if (tag !== '!' && tag !== expected)
      this.#diagnostics.error(`the tag ${quote(tag)} means nothing here`, event.tagStart)
  }
}

/** How large and how deep a list or map is, aliases written out. */
class Measure {
  size = 1
  depth = 1
  readonly #offset: number

  constructor(offset: number) {
    this.#offset = offset
  }

  add(child: Composed): void {
    this.size += child.size
    this.depth = Math.max(this.depth, child.depth + 1)
    if (this.size > MAX_NODES)
      throw new Stop(`more than ${MAX_NODES} values, aliases counted for what they stand for`, this.#offset)
    if (this.depth > MAX_DEPTH) throw new Stop(`more than ${MAX_DEPTH} levels of lists and maps`, this.#offset)
  }
}
