/**
 * Floor 3. The console's page in one piece: style and script are in it, and its policy lets nothing else run or load.
 */
import { createHash } from 'node:crypto'
import { script } from './script/index.ts'
import { style } from './style.ts'

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

/** Content-Security-Policy: what the page holds is known by its hash; nobody may frame it. */
export const policy = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const ICON =
  "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%23e0662f' " +
  "d='M2 1h2v14H2zM5 2h9l-3 3.5 3 3.500H5z'/%3E%3C/svg%3E"

export const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>araldo console</title>
<link rel="icon" href="data:image/svg+xml,${ICON}">
<style>${style}</style>
</head>
<body>
<header>
  <h1>
    <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 1h2v14H2zM5 2h9l-3 3.5 3 3.5H5z"/></svg>
    araldo <span>console</span>
  </h1>
  <p id="link" role="status" data-link="lost">Connecting</p>
</header>
<noscript><p class="note">This page needs JavaScript. The same figures are in the metrics.</p></noscript>
<dl id="totals">
  <div><dt>Endpoints up</dt><dd id="total-up">–</dd><dd id="note-up"></dd></div>
  <div><dt>Received</dt><dd id="total-received">–</dd><dd id="note-received"></dd></div>
  <div><dt>Delivered</dt><dd id="total-delivered">–</dd><dd id="note-delivered"></dd></div>
  <div><dt>Waiting</dt><dd id="total-waiting">–</dd><dd id="note-waiting"></dd></div>
  <div><dt>Dead-lettered</dt><dd id="total-dead">–</dd><dd id="note-dead"></dd></div>
  <div><dt>Dropped</dt><dd id="total-dropped">–</dd><dd id="note-dropped"></dd></div>
</dl>
<main>
  <div class="column">
    <section aria-labelledby="flow-title">
      <h2 id="flow-title">What goes where</h2>
      <div id="flow" aria-hidden="true">
        <ul id="sources"></ul>
        <svg id="ribbons"></svg>
        <ul id="targets"></ul>
      </div>
      <p class="hidden-text">The lanes below say the same in words.</p>
    </section>
    <section aria-labelledby="lanes-title">
      <h2 id="lanes-title">Lanes</h2>
      <ol id="lanes"></ol>
    </section>
    <section aria-labelledby="endpoints-title">
      <h2 id="endpoints-title">Endpoints</h2>
      <div class="scroll" role="region" aria-labelledby="endpoints-title" tabindex="0">
        <table>
          <thead>
            <tr><th scope="col">Name</th><th scope="col">State</th><th scope="col">Received</th><th scope="col">Figures</th></tr>
          </thead>
          <tbody id="endpoints"></tbody>
        </table>
      </div>
    </section>
  </div>
  <section class="feed" aria-labelledby="feed-title">
    <div class="bar">
      <h2 id="feed-title">Messages</h2>
      <input id="filter" type="search" placeholder="Filter" aria-label="Filter messages by source, target, topic or outcome">
      <button id="pause" type="button" aria-pressed="false">Pause</button>
      <button id="clear" type="button">Clear</button>
    </div>
    <p id="feed-note">Nothing has come through since this page was opened.</p>
    <div class="scroll" role="region" aria-labelledby="feed-title" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th><th scope="col">Lane</th><th scope="col">Topic</th>
            <th scope="col">Outcome</th><th scope="col">Bytes</th>
          </tr>
        </thead>
        <tbody id="messages"></tbody>
      </table>
    </div>
  </section>
</main>
<script>${script}</script>
</body>
</html>
`
