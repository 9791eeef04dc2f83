import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser } from 'playwright-core'
import type { Client, Entry } from './clients.js'
import { versionOf } from './versions.js'

declare global {
  var start: (name: string, url: string) => Entry[]
}

const NAMES = ['EventSource', 'event-source-polyfill', '@microsoft/fetch-event-source', 'sse.js'] as const

/** The clients that need a page, each in a new page of the origin of its url. */
export async function inChromium (browser: Browser): Promise<Client[]> {
  const { outputFiles: [script] } = await build({ entryPoints: [fileURLToPath(new URL('page.js', import.meta.url))], bundle: true, write: false, logLevel: 'error' })
  return NAMES.map((name) => ({
    name: name === 'EventSource' ? 'Chromium' : name,
    version: name === 'EventSource' ? browser.version() : versionOf(name),
    debian: name === 'EventSource',
    async open (t, url) {
      const context = await browser.newContext()
      t.teardown(() => context.close())
      const page = await context.newPage()
      await page.goto(new URL('/', url).href)
      await page.addScriptTag({ content: script?.text ?? '' })
      const entries = await page.evaluateHandle(([name, url]) => start(name, url), [name, url] as const)
      return { entries: () => entries.jsonValue() }
    }
  }))
}
