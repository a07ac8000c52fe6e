/** Floor 3. The console's style sheet. Colours pass WCAG 2 AA in both schemes; nothing is told by colour alone. */

export const style = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#faf9f7, #17181b); --card: light-dark(#fff, #1f2125); --sunk: light-dark(#f3f1ed, #1b1c20);
  --ink: light-dark(#1d1f23, #eceae6); --soft: light-dark(#62666d, #a3a7ae); --line: light-dark(#e4e1dc, #34373d);
  --accent: light-dark(#b5451f, #ff9466);
  --good: light-dark(#1c7a45, #5fd08c); --warn: light-dark(#8a5a00, #f2b54d); --bad: light-dark(#b3261e, #ff8a80);
  --flow: light-dark(#0e7569, #4fd1bd); --aside: light-dark(#8d9bb5, #6b7a96); --dead: light-dark(#7a3fa8, #c99af0);
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.25rem clamp(.75rem, 2.5vw, 2.25rem) 2rem; max-width: 110rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums }
h1, h2, p, dl, dd, ul, ol { margin: 0; padding: 0 }
ul, ol { list-style: none }
header { display: flex; align-items: center; gap: 1rem; margin-block-end: 1.1rem }
h1 { font-size: 1.25rem; letter-spacing: -.015em; display: flex; align-items: center; gap: .45rem }
h1 svg { inline-size: 1.1em; fill: var(--accent) }
h1 span { color: var(--soft); font-weight: 400 }
h2 { font-size: .8125rem; font-weight: 600; letter-spacing: .01em; color: var(--soft); margin-block-end: .6rem }
.hidden-text { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%) }
.note { padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .7rem; margin-block-end: 1rem }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }

#link { margin-inline-start: auto; font-size: .875rem; padding: .2rem .75rem .2rem .6rem; border: 1px solid var(--line);
  border-radius: 2rem; background: var(--card) }
#link::before { content: ''; display: inline-block; inline-size: .55em; block-size: .55em; margin-inline-end: .5em;
  border-radius: 50%; background: var(--good) }
#link[data-link=lost]::before { background: none; box-shadow: inset 0 0 0 2px var(--warn) }
#link[data-link=closing]::before { background: var(--warn); border-radius: 0 }
body.stale :is(#totals, .column) { opacity: .55 }

#totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin-block-end: 1.75rem }
#totals div { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: .7rem 1rem .75rem }
dt { font-size: .8125rem; color: var(--soft) }
dd:nth-of-type(1) { font-size: 1.6rem; line-height: 1.25; font-weight: 600; letter-spacing: -.02em }
dd:nth-of-type(2) { font-size: .8125rem; color: var(--soft); min-block-size: 1.5em }
#totals .alarm dd { color: var(--bad) }

main { display: grid; gap: 2rem 2.25rem; grid-template-columns: minmax(0, 1fr) }
section + section { margin-block-start: 2rem }
main > section.feed { margin: 0 }
@media (min-width: 75rem) {
  main { grid-template-columns: minmax(0, 1.12fr) minmax(0, 1fr) }
  .feed { position: sticky; inset-block-start: 1.25rem; align-self: start }
}

#flow { display: grid; grid-template-columns: minmax(0, 13rem) minmax(3rem, 1fr) minmax(0, 13rem); align-items: center }
#flow ul { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; position: relative }
#flow li { border: 1px solid var(--line); border-radius: .7rem; background: var(--card); padding: .5rem .8rem }
#flow li b { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
#flow li small { color: var(--soft); font-size: .8125rem; display: flex; justify-content: space-between; gap: .5rem }
#flow li small span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
#flow.dense ul { gap: .3rem }
#flow.dense li { display: flex; justify-content: space-between; align-items: baseline; gap: .6rem; padding: .2rem .7rem }
#flow.dense small span:first-child { display: none }
#flow.dense .flows .dots { stroke-width: 3 }
#ribbons { inline-size: 100%; block-size: 100%; overflow: visible; align-self: stretch }
#ribbons path { fill: none; stroke: var(--line); stroke-linecap: round; transition: stroke-width .6s, stroke .3s }
#ribbons .flows .base { stroke: color-mix(in oklab, var(--flow) 26%, var(--paper)) }
#ribbons .broken .base { stroke-dasharray: 3 8 }
#ribbons .drops .base { stroke: color-mix(in oklab, var(--bad) 34%, var(--paper)); stroke-dasharray: 8 9 }
#ribbons .dots { stroke: none }
#ribbons .flows .dots { stroke: var(--flow); stroke-dasharray: .1 17.9; stroke-width: 4.5; animation: run 2s linear infinite }
#ribbons [data-speed='2'] .dots { animation-duration: 1.1s }
#ribbons [data-speed='3'] .dots { animation-duration: .6s; stroke-dasharray: .1 11.9 }
#ribbons [data-speed='4'] .dots { animation-duration: .3s; stroke-dasharray: .1 8.9 }
@keyframes run { from { stroke-dashoffset: 36 } to { stroke-dashoffset: 0 } }

.state { white-space: nowrap }
.state::before { content: ''; display: inline-block; inline-size: .6em; block-size: .6em; margin-inline-end: .5em;
  border-radius: 50%; background: var(--good) }
.state[data-state=connecting] { color: var(--warn) }
.state[data-state=connecting]::before { background: none; box-shadow: inset 0 0 0 2px var(--warn) }
.state[data-state=down] { color: var(--bad) }
.state[data-state=down]::before { background: var(--bad); border-radius: 1px; rotate: 45deg; scale: .85 }
.state:is([data-state=closing], [data-state=closed]) { color: var(--soft) }
.state:is([data-state=closing], [data-state=closed])::before { background: var(--soft); border-radius: 0 }

#lanes { display: grid; gap: .75rem }
#lanes li { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: .75rem 1rem .8rem;
  display: grid; grid-template-columns: minmax(0, 1fr) auto auto auto; gap: .1rem 1rem; align-items: center }
.route { overflow-wrap: anywhere; font-weight: 600 }
.route i { font-style: normal; color: var(--soft); padding-inline: .4em; font-weight: 400 }
.route small { font-weight: 400; font-size: .8125rem; color: var(--soft); border: 1px solid var(--line); border-radius: .4rem;
  padding: .05rem .4rem; margin-inline-start: .4rem; white-space: nowrap }
.spark { inline-size: 8rem; block-size: 1.6rem; overflow: visible }
.area { fill: color-mix(in oklab, var(--flow) 16%, transparent) }
.curve { fill: none; stroke: var(--flow); stroke-width: 1.5; stroke-linejoin: round }
.rate { min-inline-size: 4.5rem; text-align: end; font-weight: 600 }
.meter { grid-column: 1 / -1; display: flex; gap: 2px; block-size: .35rem; margin-block: .5rem .35rem }
.meter span { border-radius: 1px; flex-basis: 0; min-inline-size: 3px }
.meter:empty { background: var(--sunk); border-radius: 1px }
.ledger { grid-column: 1 / -1; font-size: .8125rem; color: var(--soft); display: flex; flex-wrap: wrap; gap: .05rem .45em }
.ledger b { color: var(--ink); font-weight: 600 }
.ledger .nothing b { color: inherit; font-weight: 400 }
.ledger span::before { content: ''; display: inline-block; inline-size: .5em; block-size: .5em; margin-inline-end: .35em;
  border-radius: 1px; background: var(--part, none) }
.ledger .nothing::before, .ledger .received::before { display: none }
.bytes { font-size: .8125rem; color: var(--soft) }
.delivered { --part: var(--flow) } .filtered { --part: var(--aside) } .dropped { --part: var(--bad) }
.dead { --part: var(--dead) } .waiting { --part: var(--warn) }
.meter span { background: var(--part) }
.ledger .dropped:not(.nothing) b { color: var(--bad) }
.outbox, .notes { grid-column: 1 / -1; font-size: .8125rem; color: var(--warn) }
.notes { color: var(--soft) }
.outbox.full { font-weight: 600 }
:is(.outbox, .notes):empty { display: none }
.reasons { grid-column: 1 / -1; font-size: .8125rem; color: var(--bad) }
.reasons:empty { display: none }

.scroll { overflow: auto; border: 1px solid var(--line); border-radius: .8rem; background: var(--card) }
table { inline-size: 100%; border-collapse: collapse }
th { position: sticky; inset-block-start: 0; background: var(--card); text-align: start; font-size: .8125rem; font-weight: 500;
  color: var(--soft); padding: .55rem .8rem; box-shadow: inset 0 -1px var(--line) }
td { padding: .45rem .8rem; vertical-align: top; border-block-start: 1px solid var(--line) }
tbody tr:first-child td { border-block-start: 0 }
#endpoints b { display: block; overflow-wrap: break-word; max-inline-size: 20rem }
#endpoints small { color: var(--soft); font-size: .8125rem }
#endpoints td:nth-child(2) small { display: block; max-inline-size: 24rem; overflow-wrap: break-word }
#endpoints :is(td:first-child small, td:nth-child(3)) { white-space: nowrap }
.figures { display: flex; flex-wrap: wrap; gap: 0 .9em; font-size: .875rem; color: var(--soft) }
.figures b { display: inline !important; color: var(--ink); font-weight: 600 }

.bar { display: flex; align-items: center; gap: .5rem; margin-block-end: .35rem }
.bar h2 { margin: 0 auto 0 0 }
.bar input, .bar button { font: inherit; font-size: .875rem; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: .55rem; padding: .3rem .7rem; min-inline-size: 0 }
.bar input { inline-size: 11rem }
.bar input::placeholder { color: var(--soft) }
.bar button { cursor: pointer; font-weight: 500 }
.bar button:hover { border-color: var(--soft) }
.bar button[aria-pressed=true] { background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #1d1f23) }
#feed-note { font-size: .8125rem; color: var(--soft); margin-block-end: .5rem; min-block-size: 1.5em }
.feed .scroll { block-size: min(44rem, calc(100dvh - 9rem)); min-block-size: 20rem }
.feed :is(td, th) { padding-inline: .6rem }
#messages { font-size: .8125rem }
#messages td { padding-block: .28rem; border-block-start-color: color-mix(in oklab, var(--line) 55%, transparent) }
#messages :is(td:nth-child(1), td:nth-child(3)) { font-family: var(--mono); font-size: .75rem; line-height: 1.65 }
#messages td:nth-child(1) { color: var(--soft); white-space: nowrap }
#messages td:nth-child(2) { overflow-wrap: break-word; max-inline-size: 16rem }
#messages td:nth-child(2) i { font-style: normal; color: var(--soft); padding-inline: .3em }
#messages td:nth-child(2) i::after { content: '\\200B' }
#messages td:nth-child(3) { overflow-wrap: anywhere; unicode-bidi: isolate; min-inline-size: 5rem }
:is(#messages, .feed thead) :is(td, th):nth-child(5) { text-align: end; white-space: nowrap }
.outcome { white-space: nowrap; font-weight: 500; color: var(--bad) }
.outcome[data-outcome=delivered] { color: var(--flow) }
.outcome[data-outcome=filtered] { color: var(--soft) }
.outcome[data-outcome=dead-lettered] { color: var(--dead) }
.outcome::before { content: '✕'; display: inline-block; inline-size: 1.3em }
.outcome[data-outcome=delivered]::before { content: '✓' }
.outcome[data-outcome=filtered]::before { content: '–' }

@media (max-width: 40rem) {
  #totals { grid-template-columns: repeat(2, 1fr) }
  #flow { grid-template-columns: minmax(0, 1fr) 2.5rem minmax(0, 1fr) }
  .spark { display: none }
  .bar input { inline-size: 7rem }
}
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; transition: none !important } }
`
