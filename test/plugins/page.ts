import type { Browser, Page } from 'playwright-core'

/** Opens a page of an origin. */
export async function visit (browser: Promise<Browser>, origin: string): Promise<Page> {
  const page = await (await browser).newPage()
  await page.goto(origin)
  return page
}

/** Resolves to the first event of a stream in a page's EventSource, or to its failure. */
export function seen (page: Page, url: string): Promise<unknown> {
  return page.evaluate(`new Promise((resolve) => {
    const stream = new EventSource('${url}', { withCredentials: true })
    stream.onmessage = ({ data }) => { stream.close(); resolve(data) }
    stream.onerror = () => { stream.close(); resolve('failed') }
  })`)
}

/** Resolves to the text that a page reads with `fetch`, or to its failure. */
export function fetched (page: Page, url: string, method: string): Promise<unknown> {
  return page.evaluate(`fetch('${url}', { method: '${method}', headers: { 'last-event-id': '7' }, credentials: 'include' }).then((answer) => answer.text(), () => 'refused')`)
}
