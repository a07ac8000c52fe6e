/** A real browser, without a window, driven by Playwright. */
import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import type { BrowserContext } from 'playwright-core'
import type { Owner } from './process.ts'
import { temporaryFolder } from './process.ts'
import { find, locate } from './require.ts'

const ARGUMENTS = [
  '--no-sandbox', // Chromium refuses to run as root with it, and CI often is root
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The system's Chromium, or Playwright's own build where that was installed. */
function executable(): string {
  const playwrights = chromium.executablePath()
  return locate('chromium') === undefined && existsSync(playwrights) ? playwrights : find('chromium')
}

/** For a test's `skip` option, like `need('chromium')`, but content with Playwright's own build. */
export function needChromium(): string | false {
  try {
    executable()
    return false
  } catch (error) {
    if (process.env.CI) throw error
    return (error as Error).message
  }
}

/**
 * A browser with a new, empty profile. Open pages with `newPage()`; pages share cookies, as windows of one browser do.
 * Close it at the end: `await browser.close()`, or hand in `t` to have that done.
 */
export async function launchChromium({ t }: { readonly t?: Owner } = {}): Promise<BrowserContext> {
  const browser = await chromium.launchPersistentContext(temporaryFolder('chromium'), {
    executablePath: executable(),
    headless: true,
    args: ARGUMENTS,
  })
  t?.after(() => browser.close())
  return browser
}
