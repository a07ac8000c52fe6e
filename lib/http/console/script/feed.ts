/** Floor 3. The page’s script: the messages as they come through. */

export const feed = `
let kept = [] // newest first
let seen = 0
let missed = 0
let heldBack = 0
let isPaused = false
let filter = ''

function onMessages({ messages, skipped }) {
  seen += messages.length + skipped
  missed += skipped
  kept = [...messages.reverse(), ...kept].slice(0, MAX_ROWS)
  if (isPaused) heldBack += messages.length + skipped
  else showRows(messages)
  note()
}

function matches({ source, target, topic, outcome }) {
  return filter === '' || [source, target, topic, outcome].some((text) => text.toLowerCase().includes(filter))
}

/** @param messages newest first */
function showRows(messages) {
  const rows = byId('messages')
  rows.prepend(...messages.filter(matches).map(buildRow))
  while (rows.children.length > MAX_ROWS) rows.lastChild.remove()
}

function buildRow({ time, source, topic, target, outcome, bytes }) {
  const row = make('tr')
  make('td', { parent: row, text: clock.format(time) })
  const lane = make('td', { parent: row })
  lane.append(source)
  make('i', { parent: lane, text: '→' })
  lane.append(target)
  make('td', { parent: row, text: topic })
  const cell = make('td', { parent: row })
  make('span', { parent: cell, className: 'outcome', text: outcome }).dataset.outcome = outcome
  make('td', { parent: row, text: whole.format(bytes) })
  return row
}

function showAll() {
  byId('messages').replaceChildren()
  showRows(kept)
  note()
}

function note() {
  const parts = [whole.format(seen) + ' since this page was opened']
  if (missed > 0) parts.push(whole.format(missed) + ' came too fast to be shown')
  if (isPaused) parts.push('paused, ' + whole.format(heldBack) + ' new')
  write(byId('feed-note'), parts.join(' · '))
}

byId('pause').addEventListener('click', () => {
  isPaused = !isPaused
  heldBack = 0
  byId('pause').setAttribute('aria-pressed', String(isPaused))
  if (isPaused) note()
  else showAll()
})

byId('clear').addEventListener('click', () => {
  kept = []
  showAll()
})

byId('filter').addEventListener('input', () => {
  filter = byId('filter').value.trim().toLowerCase()
  showAll()
})
`
