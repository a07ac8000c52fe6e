/** What is sent through every cell of the matrix, and the tables that the documents have of what came of it. */
import type { Carried, End } from './ends.ts'
import { KiB, LARGE, MiB } from './ends.ts'

/** What became of the messages from one end to another. */
export interface Cell extends Carried {
  readonly text: boolean
  /** Bytes of the largest that arrived. */
  readonly largest: number
  readonly guarantee: string
}

export interface Refused {
  readonly what: string
  readonly code: string
  readonly why: string
  /** Of the smallest. */
  bytes: number
}

export const TEXT = Buffer.from('Grüß Gott, καλημέρα, 日本語, 🐘🧵𝄞 "\\" {"a":[1]}\r\n  ')
export const BINARY = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
export const SIZES = [1, KiB, 64 * KiB]

/** What every message has beside its payload, where its source has a place for it. */
export const KEY = 'a key'
export const ASCII = { kind: 'test', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
export const UNICODE = { word: 'grün 日本' }

/** Bytes of what is sent from an end: common sizes, and the limits of itself and of those that it is sent to. */
export function sizesFrom({ source }: End, targets: readonly End[]): number[] {
  const most = source?.most ?? 0
  const limits = targets.flatMap(({ target }) => [target?.most ?? most, target?.tooMany ?? most])
  const sizes = new Set([...SIZES, ...limits, most].filter((size) => size <= most))
  return [...sizes].toSorted((a, b) => a - b)
}

/** Text of so many bytes. */
export function filled(bytes: number): Buffer {
  return Buffer.alloc(bytes, 'araldo ')
}

/** What a cell must show, by what its two ends carry. */
export function expected({
  source,
  target,
}: {
  source: End['source']
  target: End['target']
}): Omit<Cell, 'guarantee'> {
  if (source === null || target === null) throw new Error('the end has no such side')
  return {
    text: true,
    binary: source.binary && target.binary,
    headers: weaker(source.headers, target.headers),
    key: source.key && target.key,
    id: target.id,
    largest: Math.min(source.most, target.most),
  }
}

function weaker(one: Carried['headers'], other: Carried['headers']): Carried['headers'] {
  if (one === false || other === false) return false
  return one === 'ascii' ? one : other
}

/** `tbHki 128 KiB`, and a mark where the lane delivers at least once. */
export function shown({ text, binary, headers, key, id, largest, guarantee }: Cell): string {
  const header = headers === false ? '-' : headers === 'ascii' ? 'h' : 'H'
  const letters = [text ? 't' : '-', binary ? 'b' : '-', header, key ? 'k' : '-', id ? 'i' : '-'].join('')
  return `\`${letters}\` ${largest === LARGE ? '> 1 MiB' : bytes(largest)}${guarantee === 'at-least-once' ? ' ✓' : ''}`
}

export function bytes(count: number): string {
  if (count >= MiB && count % MiB === 0) return `${count / MiB} MiB`
  if (count >= KiB && count % KiB === 0) return `${count / KiB} KiB`
  return `${count.toLocaleString('en-US')} B`
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
