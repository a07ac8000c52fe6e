/**
 * A disk in memory that can do what real ones do at their worst: lose power between any two operations and keep of what
 * was not synced any part, be full, fail. After a failed sync it forgets what it could not write, and says nothing of it
 * at the next one, as Linux does.
 */
import type { File, Files, OpenMode } from '../../lib/journal/files.ts'

/** What a real disk writes whole or not at all (bytes). */
const SECTOR = 512

export type Operation = 'open' | 'read' | 'write' | 'sync' | 'truncate' | 'remove' | 'rename' | 'syncFolder' | 'list'

class Node {
  /** As programs see it. */
  content: Buffer = Buffer.alloc(0)
  /** As it is after a loss of power. */
  safe: Buffer = Buffer.alloc(0)
  /** Sectors that a sync would write. */
  dirty = new Set<number>()
  isSizeDirty = false
}

function failure(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code })
}

function resized(buffer: Buffer, size: number): Buffer {
  const result = Buffer.alloc(size)
  buffer.copy(result)
  return result
}

export class SimulatedDisk implements Files {
  #nodes = new Map<string, Node>()
  #safeNodes = new Map<string, Node>()
  /** Bytes of all files together, at most. */
  capacity = Infinity
  /** Asked before every operation; an error that it returns is what the operation fails with. */
  fault: (operation: Operation, path: string) => Error | undefined = () => undefined
  /** The paths of the files that are open. */
  opened: string[] = []

  /** Bytes of all files. */
  get used(): number {
    return [...this.#nodes.values()].reduce((sum, { content }) => sum + content.length, 0)
  }

  get paths(): string[] {
    return [...this.#nodes.keys()].toSorted()
  }

  content(path: string): Buffer {
    return this.#node(path).content
  }

  /** Another disk with the same content, all of it safe. */
  copy(): SimulatedDisk {
    const copy = new SimulatedDisk()
    for (const [path, { content }] of this.#nodes) copy.put(path, content)
    return copy
  }

  /** Makes a file have that content, safely. */
  put(path: string, content: Buffer): void {
    const node = new Node()
    node.content = Buffer.from(content)
    node.safe = Buffer.from(content)
    this.#nodes.set(path, node)
    this.#safeNodes.set(path, node)
  }

  /**
   * The power goes and comes back. What was not synced is there or is not, sector by sector and name by name.
   * @param random in [0, 1)
   */
  losePower(random: () => number): void {
    const names = new Set([...this.#nodes.keys(), ...this.#safeNodes.keys()])
    const left = new Map<string, Node>()
    for (const name of names) {
      const node = (random() < 0.5 ? this.#nodes : this.#safeNodes).get(name)
      if (node !== undefined) left.set(name, node)
    }
    this.#nodes = left
    this.#safeNodes = new Map(left)
    for (const node of new Set(left.values())) {
      for (const sector of node.dirty) if (random() < 0.5) this.#save(node, sector)
      if (node.isSizeDirty) {
        const [small, large] = [node.safe.length, node.content.length].toSorted((a, b) => a - b) as [number, number]
        node.safe = resized(node.safe, small + Math.floor(random() * (large - small + 1)))
      }
      node.content = Buffer.from(node.safe)
      node.dirty.clear()
      node.isSizeDirty = false
    }
  }

  async makeFolder(): Promise<void> {}

  async list(folder: string): Promise<string[]> {
    this.#check('list', folder)
    return this.paths.filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length + 1))
  }

  async remove(path: string): Promise<void> {
    this.#check('remove', path)
    this.#nodes.delete(path)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check('rename', from)
    this.#nodes.set(to, this.#node(from))
    this.#nodes.delete(from)
  }

  async syncFolder(path: string): Promise<void> {
    this.#check('syncFolder', path)
    this.#safeNodes = new Map(this.#nodes)
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    this.#check('open', path)
    if (mode === 'create' && this.#nodes.has(path)) throw failure('EEXIST', path)
    if (mode !== 'read' && !this.#nodes.has(path)) this.#nodes.set(path, new Node())
    const node = this.#node(path)
    this.opened.push(path)
    return {
      read: async (into, position) => {
        this.#check('read', path)
        const part = node.content.subarray(position, position + into.length)
        into.set(part)
        return part.length
      },
      write: async (buffers, position) => {
        const error = this.fault('write', path)
        const all = Buffer.concat(buffers)
        const room = node.content.length + this.capacity - this.used - position
        const bytes = error === undefined ? Math.min(all.length, Math.max(0, room)) : Math.floor(all.length / 2)
        this.#write(node, all.subarray(0, bytes), position)
        if (error !== undefined) throw error
        if (bytes < all.length) throw failure('ENOSPC', 'no space left on device')
      },
      sync: async () => {
        const error = this.fault('sync', path)
        if (error === undefined) {
          for (const sector of node.dirty) this.#save(node, sector)
          if (node.isSizeDirty) node.safe = resized(node.safe, node.content.length)
        }
        // What could not be written counts as written from now on.
        node.dirty.clear()
        node.isSizeDirty = false
        if (error !== undefined) throw error
      },
      truncate: async (size) => {
        this.#check('truncate', path)
        node.content = resized(node.content, size)
        node.isSizeDirty = true
      },
      size: async () => node.content.length,
      close: async () => {
        this.opened.splice(this.opened.indexOf(path), 1)
      },
    }
  }

  #node(path: string): Node {
    const node = this.#nodes.get(path)
    if (node === undefined) throw failure('ENOENT', path)
    return node
  }

  #check(operation: Operation, path: string): void {
    const error = this.fault(operation, path)
    if (error !== undefined) throw error
  }

  #write(node: Node, bytes: Buffer, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    if (end > node.content.length) {
      node.content = resized(node.content, end)
      node.isSizeDirty = true
    }
    bytes.copy(node.content, position)
    for (let sector = Math.floor(position / SECTOR); sector * SECTOR < end; sector++) node.dirty.add(sector)
  }

  #save(node: Node, sector: number): void {
    const start = sector * SECTOR
    const bytes = node.content.subarray(start, start + SECTOR)
    if (node.safe.length < start + bytes.length) node.safe = resized(node.safe, start + bytes.length)
    bytes.copy(node.safe, start)
  }
}
