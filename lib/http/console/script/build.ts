/** Floor 3. The page’s script: what is built once, and anew when the relay’s endpoints or lanes are others. */

export const build = `
let shape // of the relay: what is rebuilt when it changes
let lastTime
let lanes = []
let endpoints = new Map()

function onSnapshot(snapshot) {
  const now = JSON.stringify([
    snapshot.endpoints.map(({ name, type }) => [name, type]),
    snapshot.lanes.map(({ source, target, steps, optional, wiretap, guarantee }) => [
      source, target, steps, optional, wiretap, guarantee,
    ]),
  ])
  if (now !== shape) {
    shape = now
    lastTime = undefined
    build(snapshot)
  }
  const seconds = lastTime === undefined ? 0 : (snapshot.time - lastTime) / 1000
  lastTime = snapshot.time
  isClosing = snapshot.closing
  snapshot.endpoints.forEach((endpoint) => showEndpoint(endpoint, seconds))
  snapshot.lanes.forEach((lane, index) => showLane(lanes[index], lane, seconds))
  showTotals(snapshot)
  draw()
}

function build(snapshot) {
  for (const id of ['lanes', 'endpoints', 'sources', 'targets', 'ribbons']) byId(id).replaceChildren()
  endpoints = new Map(snapshot.endpoints.map((endpoint) => [endpoint.name, buildEndpoint(endpoint)]))
  const nodes = { sources: new Map(), targets: new Map() }
  const nodeOf = (side, name) => {
    if (!nodes[side].has(name)) nodes[side].set(name, buildNode(side, name, endpoints.get(name)))
    return nodes[side].get(name)
  }
  lanes = snapshot.lanes.map((lane) => buildLane(lane, nodeOf('sources', lane.source), nodeOf('targets', lane.target)))
  byId('flow').classList.toggle('dense', Math.max(nodes.sources.size, nodes.targets.size) > MAX_ROOMY)
  if (lanes.length === 0) make('li', { parent: byId('lanes'), text: 'No routes: nothing goes anywhere.' })
  place()
}

function buildEndpoint({ name, type }) {
  const row = make('tr', { parent: byId('endpoints') })
  const first = make('td', { parent: row })
  make('b', { parent: first, text: name })
  make('small', { parent: first, text: type })
  const second = make('td', { parent: row })
  return {
    type,
    state: make('span', { parent: second, className: 'state' }),
    reason: make('small', { parent: second }),
    received: make('td', { parent: row }),
    figures: make('div', { parent: make('td', { parent: row }), className: 'figures' }),
    nodes: [],
    rate: new Rate(),
  }
}

function buildNode(side, name, endpoint) {
  const item = make('li', { parent: byId(side) })
  const state = make('b', { parent: item, className: 'state', text: name })
  const small = make('small', { parent: item })
  make('span', { parent: small, text: endpoint.type.replace(/^endpoint-/, '') })
  const node = { item, state, rate: make('span', { parent: small }), lanes: [] }
  endpoint.nodes.push(node)
  return node
}

function buildLane({ source, target, steps, optional, wiretap, guarantee }, from, to) {
  const item = make('li', { parent: byId('lanes') })
  const route = make('div', { parent: item, className: 'route' })
  route.append(source)
  make('i', { parent: route, text: '→' })
  route.append(target)
  for (const step of steps) make('small', { parent: route, text: step })
  if (optional) make('small', { parent: route, text: wiretap ? 'wiretap' : 'optional' })
  make('small', { parent: route, text: guarantee.replaceAll('-', ' '), className: 'guarantee' })
  const bytes = make('div', { parent: item, className: 'bytes' })
  const spark = make('svg', { parent: item, className: 'spark', ns: SVG })
  spark.setAttribute('viewBox', '0 0 ' + (HISTORY - 1) + ' 20')
  spark.setAttribute('preserveAspectRatio', 'none')
  spark.setAttribute('aria-hidden', 'true')
  const area = make('path', { parent: spark, ns: SVG, className: 'area' })
  const curve = make('path', { parent: spark, ns: SVG, className: 'curve' })
  curve.setAttribute('vector-effect', 'non-scaling-stroke')
  const rate = make('div', { parent: item, className: 'rate' })
  const meter = make('div', { parent: item, className: 'meter' })
  meter.setAttribute('aria-hidden', 'true')
  const ledger = buildLedger(make('div', { parent: item, className: 'ledger' }))
  const group = make('g', { parent: byId('ribbons'), ns: SVG })
  const lane = {
    area, curve, bytes, rate, meter, ledger, group, from, to,
    outbox: make('div', { parent: item, className: 'outbox' }),
    notes: make('div', { parent: item, className: 'notes' }),
    reasons: make('div', { parent: item, className: 'reasons' }),
    base: make('path', { parent: group, ns: SVG, className: 'base' }),
    dots: make('path', { parent: group, ns: SVG, className: 'dots' }),
    received: new Rate(), delivered: new Rate(), dropped: new Rate(), dead: new Rate(),
  }
  from.lanes.push(lane)
  to.lanes.push(lane)
  return lane
}

/** received = delivered + filtered + dropped + dead-lettered + waiting */
function buildLedger(parent) {
  const figures = {}
  const term = (name, word) => {
    const span = make('span', { parent, className: name })
    figures[name] = { span, value: make('b', { parent: span }) }
    span.append(' ' + word)
  }
  term('received', 'received')
  PARTS.forEach((part, index) => {
    parent.append(index === 0 ? ' = ' : ' + ')
    term(part, WORDS[part])
  })
  return figures
}
`
