import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { until } from './until.js'

const paths = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', chromium.executablePath()]

const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

function findChromium (): string {
  const executablePath = paths.find((place) => place && existsSync(place))
  if (!executablePath) throw new Error('The pages need Chromium: run `apt-get install chromium` or `npx playwright-core install chromium`, or set CHROMIUM_PATH.')
  return executablePath
}

/** Starts a headless Chromium. Throws an error that says what to install if there is none. */
export async function openChromium (): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(), args })
}

/** Starts a Chromium that closes at the end of the test. */
export async function launchChromium (t: Test): Promise<Browser> {
  const browser = await openChromium()
  t.teardown(() => browser.close())
  return browser
}

/**
 * Starts a Chromium whose pages are tabs of one window, as a user's are: a tab in the background is hidden, so it can be
 * frozen, and pages enter the back-forward cache. Chromium closes at the end of the test.
 */
export async function launchTabs (t: Test): Promise<BrowserContext> {
  const profile = await mkdtemp(join(tmpdir(), 'chromium-'))
  const process = spawn(findChromium(), [...args, `--user-data-dir=${profile}`, '--remote-debugging-port=0'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(process, 'exit')
  t.teardown(async () => {
    process.kill()
    await exited
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  let text = ''
  process.stderr.setEncoding('utf8').on('data', (part) => { text += part })
  const address = () => /DevTools listening on (\S+)/.exec(text)?.[1]
  await until('the address of Chromium', address, 30_000)
  const browser = await chromium.connectOverCDP(String(address()), { noDefaults: true })
  const [context] = browser.contexts()
  if (context === undefined) throw new Error('Chromium has no window')
  return context
}

/** Freezes a page of `launchTabs` that another page hides, because Chromium freezes no other. Resolves once it is frozen. @returns a function that ends the freeze */
export async function freeze (page: Page): Promise<() => Promise<void>> {
  await page.evaluate("document.addEventListener('freeze', () => { globalThis.isFrozen = true }, { once: true })")
  await until('the page to be hidden', () => page.evaluate("document.visibilityState === 'hidden'"))
  const session = await page.context().newCDPSession(page)
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  await until('the page to be frozen', () => page.evaluate('globalThis.isFrozen === true'))
  return async () => {
    await session.send('Page.setWebLifecycleState', { state: 'active' })
    await session.detach()
  }
}
