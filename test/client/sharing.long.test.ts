import type { CDPSession, Page } from 'playwright-core'
import { type Test, test } from 'tap'
import type * as Client from '../../lib/client/index.js'
import { freeze, launchTabs } from '../helpers/chromium.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { randomFrom, seed } from '../integration/random.js'
import { serveTopics } from '../helpers/subscriber.js'
import { bundle } from './bundle.js'

const TABS = 8
const LEAVERS = 6
const EVENTS = 2_000

/** A page without a request for an icon. */
const PAGE = '<link rel="icon" href="data:,">'

/** The globals of a page: the client, its events, and the values of its `onShare`. */
declare global {
  var client: typeof Client, got: unknown[], holding: boolean[], result: string | undefined, delay: number
}

/** A tab with a loop over shared events. */
class Tab {
  readonly page: Page
  readonly session: CDPSession
  isGone = false

  constructor (page: Page, session: CDPSession) {
    this.page = page
    this.session = session
    page.on('crash', () => { this.isGone = true })
  }

  got = () => this.page.evaluate(() => got)
  holding = () => this.page.evaluate(() => holding)
  result = () => this.page.evaluate(() => result)
}

/** Starts a server with the topic `news` and pages, and Chromium. Measures the streams that are open at the same time. */
async function start (t: Test) {
  const app = await makeApp(t, { heartbeat: 50, history: { size: 100_000 } }, { forceCloseConnections: true })
  serveTopics(app)
  const signedOut = { status: 0 }
  /** The times at which more than one stream was open, ms, and those at which none was. */
  const overlaps: number[] = []
  const pauses: number[] = []
  let [open, since] = [0, performance.now()]
  const count = (change: number) => {
    const now = performance.now()
    if (open > 1) overlaps.push(now - since)
    if (open === 0) pauses.push(now - since)
    open += change
    since = now
  }
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith('/on/')) return
    if (signedOut.status !== 0) return reply.code(signedOut.status).send()
    count(1)
    reply.raw.once('close', () => count(-1))
  })
  app.get('/', (_request, reply) => { reply.type('text/html').send(PAGE) })
  app.get('/other', (_request, reply) => { reply.type('text/html').send(PAGE) })
  const origin = `http://127.0.0.1:${await listen(app)}`
  const script = await bundle({ format: 'iife', globalName: 'client' })
  const context = await launchTabs(t)

  async function openTab (options: { without?: 'locks' | 'channels', delay?: number, lastEventId?: string } = {}): Promise<Tab> {
    const page = await context.newPage()
    const session = await context.newCDPSession(page)
    await page.goto(`${origin}/`)
    await page.evaluate(({ without, delay = 0 }) => {
      if (without === 'locks') Object.defineProperty(Reflect.get(globalThis, 'navigator'), 'locks', { value: undefined })
      Object.assign(globalThis, { got: [], holding: [], result: undefined, delay })
    }, options)
    await page.addScriptTag({ content: script })
    await page.evaluate(({ lastEventId = null }) => {
      const read = async () => {
        for await (const { data } of client.sse('/on/news', { share: 'ann', lastEventId, retry: { delay: 5 }, onShare: ({ holds }) => { holding.push(holds) } })) {
          got.push(data)
          if (delay > 0) await new Promise((resolve) => { setTimeout(resolve, delay) })
        }
      }
      read().then(() => { result = 'end' }, (error) => { result = `${error.code} ${error.status}` })
    }, options)
    const tab = new Tab(page, session)
    await until('the tab takes part', async () => options.without ?? (await tab.holding()).length > 0)
    return tab
  }

  let published = 0
  return { app, openTab, overlaps, pauses, signedOut, isOpen: () => app.sse.streams.size === 1, publish: () => app.sse.publish('news', { data: published++ }), published: () => published, opened: () => app.sse.stats().opened }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

/** The holder among tabs. */
async function holderOf (tabs: Tab[]): Promise<Tab | undefined> {
  for (const tab of tabs) if (!tab.isGone && (await tab.holding()).at(-1)) return tab
  return undefined
}

test(`of ${TABS} tabs, ${LEAVERS} are closed or crash under ${EVENTS} events; the others get each event once, by one connection`, async (t) => {
  const random = randomFrom(seed)
  const { openTab, isOpen, publish, published, overlaps, pauses, opened } = await start(t)
  const tabs: Tab[] = []
  for (let i = 0; i < TABS; i++) tabs.push(await openTab())
  await until('the connection', isOpen)
  const left: string[] = []
  const remaining = [...tabs]
  while (published() < EVENTS) {
    await publish()
    await new Promise((resolve) => { setTimeout(resolve, 1) })
    if (left.length >= LEAVERS || published() < (left.length + 1) * EVENTS / (LEAVERS + 2)) continue
    // the holder in half of the cases
    const holder = random(2) === 0 ? await holderOf(remaining) : undefined
    const tab = holder ?? remaining[random(remaining.length)]
    if (tab === undefined) throw new Error('no tab')
    remaining.splice(remaining.indexOf(tab), 1)
    const crashes = random(2) === 0
    left.push(`${holder ? 'holder' : 'tab'} ${crashes ? 'crashed' : 'closed'}`)
    tab.isGone = true
    if (crashes) tab.session.send('Page.crash').catch(() => {})
    else tab.page.close().catch(() => {})
  }
  for (const tab of remaining) {
    await until('all events', async () => (await tab.got()).length >= EVENTS)
    t.strictSame(await tab.got(), numbers(EVENTS), `seed ${seed}`)
  }
  t.equal(remaining.length, TABS - LEAVERS)
  const longest = (times: number[]) => Math.round(Math.max(0, ...times))
  t.comment(`${left.join(', ')}; ${opened()} connections; two at once for at most ${longest(overlaps)} ms, none for at most ${longest(pauses.slice(1))} ms`)
  t.ok(longest(overlaps) <= 1_000)
  t.ok(opened() <= 1 + LEAVERS)
  t.ok(isOpen())
})

test('a holder that is frozen hands over, and gets the events that it missed when it resumes', async (t) => {
  const { openTab, isOpen, publish, published } = await start(t)
  const [first, second, third] = [await openTab(), await openTab(), await openTab()]
  await until('the connection', isOpen)
  await publish()
  for (const [frozen, others] of [[first, [second, third]], [third, [second, first]]] as const) {
    await until('the events', async () => (await frozen.got()).length === published())
    await others[0].page.bringToFront()
    const resume = await freeze(frozen.page)
    for (let i = 0; i < 20; i++) await publish()
    for (const tab of others) await until('the events', async () => (await tab.got()).length === published())
    await until('one connection', isOpen)
    await resume()
    await until('the events that it missed', async () => (await frozen.got()).length === published())
    await until('one connection', isOpen)
  }
  await publish()
  for (const tab of [first, second, third]) {
    await until('the last event', async () => (await tab.got()).length === published())
    t.strictSame(await tab.got(), numbers(published()))
  }
  t.strictSame(await first.holding(), [true, false])
})

test('a tab in the back-forward cache hands over, and continues when the user goes back to it', async (t) => {
  const { openTab, isOpen, publish, published } = await start(t)
  const [holder, other] = [await openTab(), await openTab()]
  await until('the connection', isOpen)
  await publish()
  for (const tab of [holder, other]) {
    await until('the event', async () => (await tab.got()).length === published())
    const path = new URL('/other', tab.page.url()).href
    await tab.page.goto(path)
    await until('one connection', isOpen)
    for (let i = 0; i < 20; i++) await publish()
    await tab.page.goBack({ waitUntil: 'commit' })
    t.ok(await tab.page.evaluate(() => Array.isArray(globalThis.got)), 'the page was kept')
    await until('the events that it missed', async () => (await tab.got()).length === published())
    await until('one connection', isOpen)
  }
  await publish()
  for (const tab of [holder, other]) {
    await until('the last event', async () => (await tab.got()).length === published())
    t.strictSame(await tab.got(), numbers(published()))
  }
})

test('signing out ends the loops of all tabs', async (t) => {
  for (const [status, result] of [[401, 'SSE_ERR_NO_STREAM 401'], [204, 'end']] as const) {
    const { app, openTab, isOpen, signedOut, opened } = await start(t)
    const tabs = [await openTab(), await openTab(), await openTab()]
    await until('the connection', isOpen)
    signedOut.status = status
    for (const stream of app.sse.streams.values()) stream.close()
    for (const tab of tabs) {
      await until('the loop ends', tab.result)
      t.equal(await tab.result(), result)
    }
    t.equal(opened(), 1)
  }
})

test('a slow loop in one tab delays no other tab', async (t) => {
  const { openTab, isOpen, publish } = await start(t)
  const slow = await openTab({ delay: 50 })
  const fast = await openTab()
  await until('the connection', isOpen)
  for (let i = 0; i < 200; i++) await publish()
  await until('the events', async () => (await fast.got()).length === 200)
  t.ok((await slow.got()).length < 200)
  await slow.page.evaluate(() => { delay = 0 })
  await until('the events', async () => (await slow.got()).length === 200)
  for (const tab of [slow, fast]) t.strictSame(await tab.got(), numbers(200))
})

test('tabs without Web Locks have separate connections', async (t) => {
  const { app, openTab, publish } = await start(t)
  const tabs = [await openTab({ without: 'locks' }), await openTab({ without: 'locks' })]
  await until('two connections', () => app.sse.streams.size === 2)
  await publish()
  for (const tab of tabs) {
    await until('the event', async () => (await tab.got()).length === 1)
    t.strictSame(await tab.holding(), [])
  }
})
