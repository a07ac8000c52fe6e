import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CycleFinder, type Edge } from '../../lib/config/cycles.ts'

/** The length of the shortest cycle that begins with the edge, by trying every way; undefined where there is none. */
function bruteForce(first: Edge, edges: readonly Edge[]): number | undefined {
  let reached = new Set([first.to])
  const seen = new Set<number>()
  for (let length = 1; reached.size > 0; length++) {
    if (reached.has(first.from)) return length
    for (const node of reached) seen.add(node)
    const next = edges.filter(({ from, to }) => reached.has(from) && !seen.has(to))
    reached = new Set(next.map(({ to }) => to))
  }
  return undefined
}

const graphs = fc
  .integer({ min: 1, max: 9 })
  .chain((nodes) =>
    fc.record({
      nodes: fc.constant(nodes),
      edges: fc.uniqueArray(fc.tuple(fc.nat(nodes - 1), fc.nat(nodes - 1)), { selector: String, maxLength: 24 }),
    }),
  )
  .map(({ nodes, edges }) => ({ nodes, edges: edges.map(([from, to]) => ({ from, to })) }))

describe('cycles', () => {
  it('are the shortest with each edge, and none where no way leads back', () => {
    const property = fc.property(graphs, ({ nodes, edges }) => {
      const finder = new CycleFinder(nodes, edges)
      for (const edge of edges) {
        const cycle = finder.shortestWith(edge)
        const length = bruteForce(edge, edges)
        assert.equal(cycle?.length, length)
        assert.equal(finder.isOnCycle(edge), length !== undefined)
        if (cycle === undefined) continue
        assert.equal(cycle[0], edge)
        cycle.forEach(({ to }, index) => assert.equal(to, cycle[(index + 1) % cycle.length]?.from))
        assert.equal(new Set(cycle.map(({ from }) => from)).size, cycle.length, 'it passes a node twice')
      }
    })
    fc.assert(property, { numRuns: 2_000 })
  })

  it('are found in a chain that is longer than the call stack is deep', () => {
    const length = 100_000
    const edges = Array.from({ length }, (_, from) => ({ from, to: (from + 1) % length }))
    const finder = new CycleFinder(length, edges)
    assert.equal(finder.shortestWith(edges[5] as Edge)?.length, length)
    const open = new CycleFinder(length, edges.slice(0, -1))
    assert.ok(edges.slice(0, -1).every((edge) => !open.isOnCycle(edge)))
  })
})
