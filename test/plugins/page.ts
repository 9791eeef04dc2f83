import type { Browser, Page } from 'playwright-core'

/** A page that an origin serves. */
export async function visit (browser: Promise<Browser>, origin: string): Promise<Page> {
  const page = await (await browser).newPage()
  await page.goto(origin)
  return page
}

/** The first event that EventSource gives a page of a stream, or that it failed. */
export function seen (page: Page, url: string): Promise<unknown> {
  return page.evaluate(`new Promise((resolve) => {
    const stream = new EventSource('${url}', { withCredentials: true })
    stream.onmessage = ({ data }) => { stream.close(); resolve(data) }
    stream.onerror = () => { stream.close(); resolve('failed') }
  })`)
}

/** What a page reads by `fetch`, or that it may not. */
export function fetched (page: Page, url: string, method: string): Promise<unknown> {
  return page.evaluate(`fetch('${url}', { method: '${method}', headers: { 'last-event-id': '7' }, credentials: 'include' }).then((answer) => answer.text(), () => 'refused')`)
}
