/** Floor 3. The page’s script: the picture of the lanes, from sources to targets. */

export const picture = `
/** Where each lane leaves its source and reaches its target: side by side, in the order of the other end. */
function place() {
  const middle = ({ item }) => item.parentElement.offsetTop + item.offsetTop + item.offsetHeight / 2
  const top = byId('ribbons').getBoundingClientRect().top
  const ports = (node, other) => {
    const box = node.item.getBoundingClientRect()
    const sorted = [...node.lanes].sort((one, two) => middle(one[other]) - middle(two[other]))
    return new Map(sorted.map((lane, index) => [lane, box.top - top + (box.height * (index + 1)) / (sorted.length + 1)]))
  }
  const width = byId('ribbons').getBoundingClientRect().width
  const starts = new Map(lanes.map(({ from }) => [from, ports(from, 'to')]))
  const ends = new Map(lanes.map(({ to }) => [to, ports(to, 'from')]))
  for (const lane of lanes) {
    const y1 = starts.get(lane.from).get(lane)
    const y2 = ends.get(lane.to).get(lane)
    const bend = width * 0.5
    const path = ['M', 0, y1, 'C', bend, y1, width - bend, y2, width, y2].join(' ')
    lane.base.setAttribute('d', path)
    lane.dots.setAttribute('d', path)
  }
}

function draw() {
  for (const { group, base, to, received, dropped } of lanes) {
    const rate = received.now
    const isBroken = to.state.dataset.state !== 'up'
    group.setAttribute('class', dropped.now > 0 ? 'drops' : isBroken ? 'broken' : rate > 0 ? 'flows' : '')
    group.dataset.speed = rate < 10 ? 1 : rate < 100 ? 2 : rate < 1000 ? 3 : 4
    base.style.strokeWidth = 2 + Math.min(12, 2.2 * Math.log10(1 + rate)) + 'px'
  }
  for (const { nodes, rate } of endpoints.values()) {
    for (const node of nodes) {
      const isSource = node.lanes[0].from === node
      write(node.rate, perSecond(isSource ? rate.now : sum(node.lanes.map(({ delivered }) => delivered.now))))
    }
  }
}

new ResizeObserver(place).observe(byId('flow'))
`
