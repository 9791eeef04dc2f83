import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { type Client, type Source, watch, type Watched } from './clients.js'

/** The globals of the page for its client. */
declare global {
  var watched: Watched[], watch: (source: Source, names: string[]) => Watched
}

/** Chromium's EventSource, in one page of `origin`. */
export async function inChromium (t: Test, origin: string): Promise<Client & { page: Page }> {
  const page = await (await launchChromium(t)).newPage()
  await page.goto(origin)
  await page.addScriptTag({ content: `globalThis.watched = []; globalThis.watch = ${watch}` })
  return {
    name: 'Chromium',
    page,
    async follow (url, names = [], withCredentials = false) {
      const place = await page.evaluate(([url, names, withCredentials]) => {
        const EventSource: new (url: string, options: { withCredentials: boolean }) => Source = Reflect.get(globalThis, 'EventSource')
        return watched.push(watch(new EventSource(url, { withCredentials }), names)) - 1
      }, [url, names, withCredentials] as const)
      return {
        seen: () => page.evaluate((place) => {
          const { source, seen } = watched[place]!
          return { ...seen, over: source.readyState === 2 }
        }, place),
        received: () => page.evaluate((place) => watched[place]!.seen.events.length, place),
        close: () => page.evaluate((place) => watched[place]!.source.close(), place)
      }
    }
  }
}
