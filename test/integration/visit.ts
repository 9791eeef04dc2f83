import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'

/** A page in Chromium. */
export interface Visit {
  page: Page
  /** Errors on its console and in its scripts. */
  faults: string[]
}

/** Opens a page in its own context. */
export async function visit (browser: Browser, url: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await context.newPage()
  const faults = watch(page)
  await page.goto(url)
  return { page, faults }
}

/** Collects the errors of a page from now on. */
export function watch (page: Page): string[] {
  const faults: string[] = []
  page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()) })
  page.on('pageerror', (error) => { faults.push(error.message) })
  return faults
}

/** Filters out errors that the browser reports for a server that is down. */
export function unexpected (faults: string[]): string[] {
  return faults.filter((fault) => !/^Failed to load resource: net::ERR_/.test(fault))
}

/** Waits until the badge of a page has a state. */
export async function badge (page: Page, ...states: string[]): Promise<void> {
  const shown = () => page.locator('#connection').getAttribute('data-state')
  await until(`the badge tells ${states.join(' or ')}`, async () => states.includes(await shown() ?? ''))
}

/** Collects the states of the badge from now on. */
export async function badgeStates (page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(`
    const badge = document.querySelector('#connection')
    window.badgeStates = []
    window.countdowns = []
    const look = () => {
      if (window.badgeStates.at(-1) !== badge.dataset.state) window.badgeStates.push(badge.dataset.state)
      window.countdowns.push(badge.innerText)
    }
    new MutationObserver(look).observe(badge, { attributes: true, childList: true, subtree: true, characterData: true })
    look()`)
  return () => page.evaluate<string[]>('window.badgeStates')
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Checks a page in light and dark and on several screens: nothing overflows at the side, and axe finds no serious fault. */
export async function looksWell (t: Test, page: Page): Promise<void> {
  for (const width of [375, 1440]) {
    await page.setViewportSize({ width, height: 900 })
    const over = await page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')
    t.equal(over, 0, `fits ${width} px`)
  }
  await page.evaluate(axe)
  // the colours are all that differs
  for (const [colorScheme, rules] of [['light', {}], ['dark', { runOnly: ['color-contrast', 'link-in-text-block'] }]] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const found = await page.evaluate<string[]>(`axe.run(${JSON.stringify(rules)}).then(({ violations }) => violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target, failureSummary].join(' '))))`)
    t.strictSame(found, [], `axe finds nothing serious in it, ${colorScheme}`)
  }
}
