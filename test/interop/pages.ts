/**
 * The parts of docs/connectors/interop.md that tests write: what stands between `<!-- name -->` and `<!-- /name -->` on
 * lines of their own. With ARALDO_WRITE=1 they are written; else a test fails where they are not what it has found.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'

const PAGE = new URL('../../docs/connectors/interop.md', import.meta.url)

export function documented(name: string, text: string): void {
  const page = readFileSync(PAGE, 'utf8')
  const marked = new RegExp(`(?<=^<!-- ${name} -->\n)[^]*?(?=^<!-- /${name} -->$)`, 'm')
  assert.match(page, marked, `docs/connectors/interop.md has no <!-- ${name} -->`)
  const content = `\n${text}\n\n`
  if (process.env.ARALDO_WRITE === '1')
    writeFileSync(
      PAGE,
      page.replace(marked, () => content),
    )
  else assert.equal(marked.exec(page)?.[0], content, 'the page is not up to date: run this test with ARALDO_WRITE=1')
}
