/** Floor 3. The page’s script: the link to the relay, which it keeps up. */

export const link = `
let isClosing = false
let lastNews = 0

function setLink(state, text) {
  byId('link').dataset.link = state
  write(byId('link'), text)
  document.body.classList.toggle('stale', state === 'lost')
}

function connect() {
  const base = location.pathname.replace(/[/]+$/, '')
  const source = new EventSource(base + '/events')
  source.addEventListener('snapshot', (event) => {
    lastNews = Date.now()
    onSnapshot(JSON.parse(event.data))
    setLink(isClosing ? 'closing' : 'open', isClosing ? 'Shutting down' : 'Live')
  })
  source.addEventListener('messages', (event) => {
    lastNews = Date.now()
    onMessages(JSON.parse(event.data))
  })
  source.addEventListener('error', () => {
    setLink('lost', 'Reconnecting')
    if (source.readyState !== EventSource.CLOSED) return
    setLink('lost', 'Refused, trying again')
    setTimeout(connect, RETRY)
  })
}

setInterval(() => {
  if (lastNews > 0 && Date.now() - lastNews > STALE_AFTER && byId('link').dataset.link !== 'lost') {
    setLink('lost', 'No news')
  }
}, 1000)

connect()
`
