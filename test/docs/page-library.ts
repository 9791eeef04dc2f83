import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { listen } from '../helpers/app.js'
import { type InterruptibleProxy, startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { until } from '../helpers/until.js'
import { pageOf, root } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/page-libraries.md')

/** A page library, and the files that its HTML in docs/page-libraries.md loads. */
export interface Library {
  /** Its column in the tables. */
  name: string
  html: string
  files: Record<string, string>
  /** Changes the code of the page to that of another version. */
  adapt: (code: string) => string
}

const keep = (code: string) => code

/** Shortens the times of a block of HTML. */
const shorten = (html: string) => html.replaceAll('every 5s', 'every 2s').replaceAll('5_000', '100')

/** Names of Datastar 1.0, and those of 1.0.0-beta.11. */
const RENAMED = [['datastar-patch-elements', 'datastar-merge-fragments'], ['\'elements \'', '\'fragments \''], ['mode append', 'mergeMode append'], ['data-init', 'data-on-load']] as const

export const htmx2: Library = { name: 'htmx 2', html: page.codeOf('htmx 2', 'html')[0], files: { '/htmx.js': 'node_modules/htmx.org/dist/htmx.min.js', '/htmx-ext-sse.js': 'node_modules/htmx-ext-sse/dist/sse.min.js' }, adapt: keep }
export const htmx4: Library = { name: 'htmx 4', html: page.codeOf('htmx 4', 'html')[0], files: { '/htmx.js': 'node_modules/htmx-4/dist/htmx.min.js', '/hx-sse.js': 'node_modules/htmx-4/dist/ext/hx-sse.min.js' }, adapt: keep }
export const turbo: Library = { name: 'Turbo', html: page.codeOf('Turbo', 'html')[0], files: { '/turbo.js': 'node_modules/@hotwired/turbo/dist/turbo.es2017-esm.js' }, adapt: keep }

const datastar = page.codeOf('Datastar', 'html')[0]
export const datastarBeta: Library = {
  name: 'Datastar beta',
  html: datastar,
  files: { '/datastar.js': 'node_modules/@starfederation/datastar/dist/datastar.js' },
  adapt: (code) => RENAMED.reduce((code, [from, to]) => code.replaceAll(from, to), code)
}

/** Datastar 1.0 is not on npm. The variable DATASTAR is the path of its bundle. */
const { DATASTAR } = process.env
export const datastar1: Library[] = DATASTAR === undefined ? [] : [{ name: 'Datastar 1.0', html: datastar, files: { '/datastar.js': DATASTAR }, adapt: keep }]

export const libraries = [htmx2, htmx4, ...datastar1, datastarBeta, turbo]

/** A request for the rows, or for `/progress`. */
export interface StreamRequest {
  url: string
  lastEventId: string | undefined
  authorization: string | undefined
  /** When it arrived, in ms. */
  time: number
}

/** The app of the page behind a proxy, and a tab of Chromium that shows the HTML of a library. */
export interface Opened {
  app: FastifyInstance
  proxy: InterruptibleProxy
  tab: Page
  /** The requests so far. */
  requests: StreamRequest[]
  /** A status and a body, with which the server answers requests for rows until it is undefined. */
  refusal: { status: number, body?: string } | undefined
  /** Publishes a row. */
  add (html: string): Promise<void>
  /** The HTML of the list. */
  news (): Promise<string>
  /** Errors on the console. */
  errors: string[]
}

export interface OpenOptions {
  /** Headers of the page. */
  headers?: Record<string, string>
  refusal?: Opened['refusal']
  /** Changes the HTML of the library. */
  changeHTML?: (html: string) => string
  /** Changes the code of the routes. */
  changeRoutes?: (code: string) => string
}

/** Starts the app of the page with shorter times, and opens the page of a library. */
export async function open (t: Test, browser: Pick<Browser, 'newPage'>, { html, files, adapt }: Library, { headers = {}, refusal, changeHTML = keep, changeRoutes = keep }: OpenOptions = {}): Promise<Opened> {
  const [price] = page.codeOf('One route for all libraries', 'ts')
  const [rows] = page.codeOf('Rows that are added', 'ts')
  const [imports = '', ...code] = rows.split('\n\n')
  const routes = `${price}\n${code.join('\n\n')}`.replaceAll('1_000', '100')
  const [end] = page.codeOf('End a stream for good', 'ts')
  const app = await runApp(t, `${imports}\n${tenLines({ after: `${changeRoutes(adapt(routes))}\n${end}\napp.post('/rows', async ({ body }) => addRow(body.html))` })}`)
  const opened = { app, requests: new Array<StreamRequest>(), refusal, errors: new Array<string>() }
  app.addHook('onRequest', async (request, reply) => {
    if (!/^\/(news|progress)\b(?!\.)/.test(request.url)) return
    const { 'last-event-id': lastEventId, authorization } = request.headers
    opened.requests.push({ url: request.url, lastEventId: lastEventId === undefined ? undefined : String(lastEventId), authorization, time: performance.now() })
    if (opened.refusal === undefined) return
    reply.code(opened.refusal.status)
    return reply.send(opened.refusal.body)
  })
  app.get('/page', (_request, reply) => reply.type('text/html').headers(headers).send(`<!doctype html><link rel="icon" href="data:,">${changeHTML(shorten(adapt(html)))}`))
  for (const [path, file] of Object.entries(files)) app.get(path, (_request, reply) => reply.type('text/javascript').send(readFileSync(resolve(root, file))))

  const port = await listen(app)
  const proxy = await startInterruptibleProxy(t, `http://127.0.0.1:${port}`)
  const tab = await browser.newPage()
  t.teardown(() => tab.close())
  tab.on('console', (message) => { if (message.type() === 'error') opened.errors.push(message.text()) })
  tab.on('pageerror', ({ message }) => { opened.errors.push(message) })
  await tab.goto(`${proxy.url}/page`)
  return Object.assign(opened, {
    proxy,
    tab,
    news: () => tab.locator('#news').innerHTML(),
    async add (html: string) {
      const { status } = await fetch(`http://127.0.0.1:${port}/rows`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ html }) })
      if (status !== 200) throw new Error(`status ${status}`)
    }
  })
}

/** Returns the ids of the rows that the page shows. */
export function idsOf ({ tab }: Opened): Promise<string[]> {
  return tab.evaluate('Array.from(document.querySelectorAll("#news li"), ({ id }) => id)')
}

/** Waits until the page shows a row. */
export function shows (opened: Opened, id: string): Promise<void> {
  return until(`the page shows ${id}`, async () => (await idsOf(opened)).includes(id))
}
