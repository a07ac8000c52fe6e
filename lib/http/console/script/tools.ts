/** Floor 3. The page’s script: what its other parts build on. */

export const tools = `
const MAX_ROWS = 200
const MAX_ROOMY = 8 // endpoints on one side of the picture, before it gets denser
const HISTORY = 60 // seconds of a lane's curve
const STALE_AFTER = 5000 // milliseconds without news
const RETRY = 3000 // milliseconds, where the browser does not try by itself
const SVG = 'http://www.w3.org/2000/svg'
const PARTS = ['delivered', 'filtered', 'dropped', 'dead', 'waiting']
const WORDS = { delivered: 'delivered', filtered: 'filtered', dropped: 'dropped', dead: 'dead-lettered', waiting: 'waiting' }

const byId = (id) => document.getElementById(id)
const whole = new Intl.NumberFormat('en')
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3,
})

function make(name, { className, text, parent, ns } = {}) {
  const element = ns ? document.createElementNS(ns, name) : document.createElement(name)
  if (className) element.setAttribute('class', className)
  if (text !== undefined) element.textContent = text
  if (parent) parent.append(element)
  return element
}

/** Touches the page only where something has changed. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

function perSecond(rate) {
  return (rate > 0 && rate < 9.95 ? rate.toFixed(1) : short.format(Math.round(rate))) + '/s'
}

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let power = 0
  while (bytes >= 1024 && power < units.length - 1) {
    bytes /= 1024
    power++
  }
  return (power === 0 ? whole.format(bytes) : bytes.toFixed(1)) + ' ' + units[power]
}

function duration(milliseconds) {
  const seconds = milliseconds / 1000
  if (seconds < 10) return seconds.toFixed(1) + ' s'
  if (seconds < 120) return Math.round(seconds) + ' s'
  return seconds < 7200 ? Math.round(seconds / 60) + ' min' : Math.round(seconds / 3600) + ' h'
}

const sum = (values) => values.reduce((total, value) => total + value, 0)
const words = (key) => key.replace(/(?<=[a-z0-9])(?=[A-Z])/g, ' ').toLowerCase()

/** Differences of a growing figure, a second each; the newest last. */
class Rate {
  constructor() {
    this.history = []
    this.value = undefined
  }

  add(value, seconds) {
    const grown = this.value === undefined || seconds <= 0 ? 0 : Math.max(0, value - this.value) / seconds
    this.value = value
    this.history.push(grown)
    if (this.history.length > HISTORY) this.history.shift()
  }

  /** The mean of the last two. */
  get now() {
    const last = this.history.slice(-2)
    return last.length === 0 ? 0 : sum(last) / last.length
  }
}
`
