/**
 * Floor 1. Cycles of a directed graph, as few as show every edge that is on one: linear in the graph for each cycle
 * that is found, however many there are in all.
 */

/** A directed graph whose nodes are numbered from 0. */
export interface Edge {
  readonly from: number
  readonly to: number
}

export class CycleFinder<E extends Edge> {
  /** Edges by the node that they leave. */
  readonly #leaving: readonly (readonly E[])[]
  /** Of each node, its strongly connected component: two nodes of one component are on a cycle together. */
  readonly #components: Int32Array

  constructor(nodes: number, edges: readonly E[]) {
    const leaving: E[][] = Array.from({ length: nodes }, () => [])
    for (const edge of edges) leaving[edge.from]?.push(edge)
    this.#leaving = leaving
    this.#components = componentsOf(leaving)
  }

  /** Whether the edge is part of a cycle. */
  isOnCycle({ from, to }: Edge): boolean {
    return this.#components[from] === this.#components[to]
  }

  /** The shortest cycle that begins with the edge, its edges in order; undefined where there is none. */
  shortestWith(first: E): E[] | undefined {
    if (!this.isOnCycle(first)) return undefined
    const cameBy = new Map<number, E>([[first.to, first]])
    const queue = [first.to]
    for (const node of queue) {
      if (node === first.from) return pathTo(first, cameBy)
      for (const edge of this.#leaving[node] ?? []) {
        if (!this.isOnCycle(edge) || cameBy.has(edge.to)) continue
        cameBy.set(edge.to, edge)
        queue.push(edge.to)
      }
    }
    return undefined
  }
}

/** From the edge's end back to its beginning, with the edge itself at the head. */
function pathTo<E extends Edge>(first: E, cameBy: ReadonlyMap<number, E>): E[] {
  const path: E[] = []
  let node = first.from
  while (node !== first.to) {
    const edge = cameBy.get(node) as E
    path.push(edge)
    node = edge.from
  }
  return [first, ...path.toReversed()]
}

/**
 * Tarjan's algorithm (SIAM Journal on Computing 1 (2), 1972), with a stack of its own in place of recursion: a chain of
 * lanes may be longer than the call stack is deep.
 */
function componentsOf(leaving: readonly (readonly Edge[])[]): Int32Array {
  const count = leaving.length
  const components = new Int32Array(count).fill(-1)
  const order = new Int32Array(count).fill(-1)
  const lowest = new Int32Array(count)
  /** How many of a node's edges were looked at. */
  const looked = new Int32Array(count)
  const open: number[] = []
  let visited = 0
  let found = 0

  const enter = (node: number, path: number[]): void => {
    order[node] = lowest[node] = visited++
    open.push(node)
    path.push(node)
  }
  const leave = (node: number, parent: number | undefined): void => {
    if (parent !== undefined) lowest[parent] = Math.min(lowest[parent] as number, lowest[node] as number)
    if (lowest[node] !== order[node]) return
    let member
    do {
      member = open.pop() as number
      components[member] = found
    } while (member !== node)
    found++
  }

  for (let root = 0; root < count; root++) {
    if (order[root] !== -1) continue
    const path: number[] = []
    enter(root, path)
    while (path.length > 0) {
      const node = path.at(-1) as number
      const edge = leaving[node]?.[looked[node] as number]
      if (edge === undefined) {
        path.pop()
        leave(node, path.at(-1))
        continue
      }
      looked[node] = (looked[node] as number) + 1
      if (order[edge.to] === -1) enter(edge.to, path)
      else if (components[edge.to] === -1) {
        lowest[node] = Math.min(lowest[node] as number, order[edge.to] as number)
      }
    }
  }
  return components
}
