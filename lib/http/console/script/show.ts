/** Floor 3. The page’s script: the figures of each snapshot, put where they belong. */

export const show = `
function showEndpoint({ name, state, reason, suspended, counters, gauges }, seconds) {
  const view = endpoints.get(name)
  view.rate.add(counters.received ?? 0, seconds)
  view.state.dataset.state = state
  write(view.state, state)
  const why = reason === undefined || reason === state ? [] : [reason]
  write(view.reason, [...why, ...(suspended ? ['paused: a lane is nearly full'] : [])].join(' · '))
  write(view.received, whole.format(counters.received ?? 0))
  for (const node of view.nodes) node.state.dataset.state = state
  const { received, receivedBytes, connects, ...others } = counters
  const figures = { ...gauges }
  if (connects > 1) figures.reconnects = connects - 1
  for (const [key, value] of Object.entries(others)) if (value > 0) figures[key] = value
  const entries = Object.entries(figures)
  while (view.figures.children.length > entries.length) view.figures.lastChild.remove()
  entries.forEach(([key, value], index) => {
    const span = view.figures.children[index] ?? make('span', { parent: view.figures })
    const text = words(key) + ' '
    if (span.firstChild?.nodeValue === text) return write(span.lastChild, whole.format(value))
    span.replaceChildren(text)
    make('b', { parent: span, text: whole.format(value) })
  })
}

function showLane(view, lane, seconds) {
  const dropped = sum(Object.values(lane.dropped))
  view.received.add(lane.received, seconds)
  view.delivered.add(lane.delivered, seconds)
  view.dropped.add(dropped, seconds)
  view.dead.add(lane.deadLettered, seconds)
  write(view.rate, perSecond(view.received.now))
  drawCurve(view, view.received.history)
  const { received, delivered, filtered, waiting } = lane
  const parts = { received, delivered, filtered, dropped, dead: lane.deadLettered, waiting }
  for (const [part, value] of Object.entries(parts)) {
    write(view.ledger[part].value, whole.format(value))
    view.ledger[part].span.classList.toggle('nothing', value === 0)
  }
  write(view.bytes, size(lane.bytes))
  showMeter(view.meter, parts)
  showOutbox(view, lane)
  const reasons = Object.entries(lane.dropped).filter(([, count]) => count > 0)
  write(view.reasons, reasons.map(([reason, count]) => 'dropped, ' + reason + ': ' + whole.format(count)).join(' · '))
}

/** What waits, against what may; and what was done with messages on their way. */
function showOutbox({ outbox, notes }, { waiting, outbox: held, retries, looped }) {
  const { messages, bytes, limit, age, isHolding } = held
  const parts = []
  if (waiting > 0) {
    parts.push('waiting: ' + whole.format(messages) + ' of ' + whole.format(limit.messages))
    parts.push(size(bytes) + ' of ' + size(limit.bytes))
    parts.push('oldest ' + duration(age))
  }
  if (isHolding) parts.push('source paused')
  write(outbox, parts.join(' · '))
  outbox.classList.toggle('full', isHolding)
  const counts = []
  if (retries > 0) counts.push(whole.format(retries) + (retries === 1 ? ' try again' : ' tries again'))
  if (looped > 0) counts.push(whole.format(looped) + ' came round')
  write(notes, counts.join(' · '))
}

function showMeter(meter, parts) {
  const present = PARTS.filter((part) => parts[part] > 0)
  while (meter.children.length > present.length) meter.lastChild.remove()
  present.forEach((part, index) => {
    const bar = meter.children[index] ?? make('span', { parent: meter })
    bar.className = part
    bar.style.flexGrow = String(parts[part] / parts.received)
  })
}

function drawCurve({ area, curve }, history) {
  const highest = Math.max(1, ...history)
  const first = HISTORY - history.length
  const points = history.map((rate, index) => (first + index) + ' ' + (19 - (rate / highest) * 18).toFixed(2))
  const line = points.join(' L')
  curve.setAttribute('d', 'M' + line)
  area.setAttribute('d', 'M' + first + ' 20 L' + line + ' L' + (HISTORY - 1) + ' 20')
}

function showTotals(snapshot) {
  const { endpoints: all, lanes: ledgers } = snapshot
  const up = all.filter(({ state }) => state === 'up').length
  const total = (read) => sum(ledgers.map(read))
  const rate = (name) => sum(lanes.map((lane) => lane[name].now))
  const dropped = total((lane) => sum(Object.values(lane.dropped)))
  const put = (name, value, note, alarm) => {
    write(byId('total-' + name), value)
    write(byId('note-' + name), note)
    byId('total-' + name).parentElement.classList.toggle('alarm', alarm === true)
  }
  const missing = all.filter(({ state }) => state !== 'up').map(({ name }) => name)
  put('up', up + ' of ' + all.length, missing.slice(0, 3).join(', ') + (missing.length > 3 ? ' …' : ''), missing.length > 0)
  put('received', perSecond(rate('received')), whole.format(total((lane) => lane.received)) + ' in all')
  put('delivered', perSecond(rate('delivered')), whole.format(total((lane) => lane.delivered)) + ' in all')
  put('waiting', whole.format(total((lane) => lane.waiting)), size(total(({ outbox }) => outbox.bytes)))
  const dead = total((lane) => lane.deadLettered)
  put('dead', whole.format(dead), rate('dead') > 0 ? perSecond(rate('dead')) : 'none now', rate('dead') > 0)
  put('dropped', whole.format(dropped), rate('dropped') > 0 ? perSecond(rate('dropped')) : 'none now', rate('dropped') > 0)
  document.title = (missing.length > 0 ? '(' + missing.length + ' not up) ' : '') + 'araldo console'
}
`
