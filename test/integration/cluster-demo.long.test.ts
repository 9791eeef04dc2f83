import type { Page } from 'playwright-core'
import t from 'tap'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { startLanguageModel } from './language-model.js'
import { badge, badgeStates, looksWell, unexpected, visit, watch } from './visit.js'

const FILE = 'demo/cluster.ts'
/** Time limit for the start of processes, ms. */
const LONG = 30_000

/** Reads the events that a page shows, oldest first: publisher, text and time of each. */
const shown = (page: Page) => page.evaluate<string[]>(`Array.from(document.querySelectorAll('#events tbody tr'), ({ cells }) => cells)
  .filter(({ length }) => length === 4).map((cells) => Array.from(cells, (cell) => cell.textContent).slice(0, 3).join()).reverse()`)
const publishers = async (page: Page) => new Set((await shown(page)).map((event) => event.split(',')[0]))
const deliverers = async (page: Page) => new Set(await page.locator('#events .process:last-child').allTextContents())

async function say (page: Page, text: string): Promise<void> {
  await page.getByLabel('Text').fill(text)
  await page.keyboard.press('Enter')
}

t.test('the cluster page in a browser shows the events of both processes, and continues when one is killed', { skip: SERVERS.length === 0 && 'there is no redis-server' }, async (t) => {
  const redis = await RedisServer.start(t, SERVERS[0])
  const [browser, server] = await Promise.all([launchChromium(t), startDemoServer(t, { REDIS_URL: redis.url, PROCESSES: '2' }, FILE)])
  const visits = [await visit(browser, server.url), await visit(browser, server.url)] as const
  const pages = visits.map(({ page }) => page)
  const [{ page }, { page: other }] = visits
  const bothShow = (text: string) => Promise.all(pages.map((page) => page.locator('#events td', { hasText: text }).waitFor()))
  const same = () => until('both pages show the same', async () => (await shown(page)).join() === (await shown(other)).join())

  for (const page of pages) await until('events of both processes', async () => (await publishers(page)).size === 2, LONG)
  await say(page, 'from <b>here</b>')
  await bothShow('from <b>here</b>')
  await same()
  t.pass('what any process publishes all show, in the same order')

  await looksWell(t, page)

  const states = await badgeStates(page)
  const here = await page.locator('#here').textContent()
  const pid = Number(/\d+$/.exec(await page.locator('#kill').textContent() ?? '')?.[0])
  process.kill(pid, 'SIGKILL')
  // a kept connection may still lead to the killed process
  const body = JSON.stringify({ text: 'while it is gone' })
  const headers = { 'content-type': 'application/json' }
  await until('another process publishes', async () => (await fetch(`${server.url}/processes`, { method: 'POST', headers, body, signal: AbortSignal.timeout(2_000) }).catch(() => null))?.ok)
  await page.getByText('is gone, process').waitFor()
  await bothShow('while it is gone')
  t.not(await page.locator('#here').textContent(), here)
  t.equal((await deliverers(page)).size, 2)
  await badge(page, 'resumed', 'live')
  t.match((await states()).join(), /^live,.*waiting.*,resumed/, 'the badge tells that it was away')
  await until('another process has taken its place', async () => (await publishers(page)).has('3'), LONG)
  await same()
  t.equal(new Set(await shown(page)).size, (await shown(page)).length, 'after the end of its process a page shows what it missed, and nothing twice')

  await page.reload()
  await until('a process delivers', async () => (await deliverers(page)).size === 1)
  await same()
  t.equal(await page.locator('#events .notice').count(), 0)
  t.strictSame(visits.flatMap(({ faults }) => unexpected(faults)), [])

  server.signal('SIGTERM')
  t.strictSame(await server.ended, { code: 0, signal: null })
})

t.test('signing out everywhere closes the streams of a user in both processes, and each refuses the old session', { skip: SERVERS.length === 0 && 'there is no redis-server' }, async (t) => {
  const redis = await RedisServer.start(t, SERVERS[0])
  const server = await startDemoServer(t, { REDIS_URL: redis.url, PROCESSES: '2' }, FILE)
  // a new connection for each request, because each leads to any of the processes
  const post = (path: string, body: object, cookie = '') => fetch(server.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json', cookie, connection: 'close' }, body: JSON.stringify(body), signal: AbortSignal.timeout(5_000)
  })
  await until('both processes publish', async () => {
    const response = await fetch(`${server.url}/processes?lastEventId=0-0`, { signal: AbortSignal.timeout(3_000) })
    let text = ''
    try {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
    } catch {}
    return /"from":1/.test(text) && /"from":2/.test(text)
  }, LONG)
  const signIn = async (name: string) => /^[^;]+/.exec((await post('/session', { name })).headers.get('set-cookie') ?? '')?.[0] ?? ''
  const [ada, bob] = [await signIn('ada'), await signIn('bob')]
  const openOne = async (cookie: string) => {
    const response = await fetch(`${server.url}/notifications`, { headers: { cookie, connection: 'close' } })
    if (!response.ok) throw new Error(`the stream was refused with ${response.status}`)
    return { pid: Number(response.headers.get('x-process')), end: response.text() }
  }
  /** Opens a stream in each process: stops the first process meanwhile, because an idle one may take all connections. Returns their ends. */
  const openInBoth = async (cookie: string) => {
    const one = await openOne(cookie)
    process.kill(one.pid, 'SIGSTOP')
    const other = await openOne(cookie).finally(() => process.kill(one.pid, 'SIGCONT'))
    t.not(other.pid, one.pid)
    return [one.end, other.end]
  }
  const ends = await openInBoth(ada)
  const his = await openInBoth(bob)
  let closed = 0
  for (const end of his) end.then(() => { closed++ }, () => { closed++ })
  t.equal((await post('/notifications', { to: 'ada', text: 'the last one' }, bob)).status, 201)
  t.equal((await post('/sign-out', {}, ada)).status, 204)
  for (const text of await Promise.all(ends)) t.match(text, 'the last one')
  for (let i = 0; i < 10; i++) {
    const { status } = await fetch(`${server.url}/notifications`, { headers: { cookie: ada, connection: 'close' } })
    t.equal(status, 401)
  }
  t.equal(closed, 0, 'the streams of others stay open')
  server.signal('SIGTERM')
  t.strictSame(await server.ended, { code: 0, signal: null })
  await Promise.allSettled(his)
})

t.test('pages of another process show an answer and an import, stop them, and show that the process of an answer has died', { skip: SERVERS.length === 0 && 'there is no redis-server' }, async (t) => {
  const [redis, model, browser] = await Promise.all([RedisServer.start(t, SERVERS[0]), startLanguageModel(t), launchChromium(t)])
  const server = await startDemoServer(t, { REDIS_URL: redis.url, PROCESSES: '2', OPENAI_BASE_URL: model.url }, FILE)
  const first = await visit(browser, server.url)
  await until('events of both processes', async () => (await publishers(first.page)).size === 2, LONG)
  const { page } = first
  const processOf = async (of: Page, method: string, path: RegExp) => {
    const response = await of.waitForResponse((response) => response.request().method() === method && path.test(response.url()))
    return Number(response.headers()['x-process'])
  }

  await page.goto(`${server.url}/chat.html`)
  await badge(page, 'live')
  const asked = processOf(page, 'POST', /\/chats\//)
  await page.locator('#send').click()
  const pid = await asked
  await page.locator('#talk .writing', { hasText: 'word 2 ' }).waitFor()
  // an idle process may take all connections, so that the other one is stopped while the second page opens
  process.kill(pid, 'SIGSTOP')
  const context = await browser.newContext()
  const tab = await context.newPage()
  const others = watch(tab)
  try {
    const joined = processOf(tab, 'GET', /\/chats\/\w+$/)
    await tab.goto(page.url())
    t.not(await joined, pid, 'the second page reads the answer from another process')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await tab.locator('#talk .writing', { hasText: /^word 1 word 2 .*word 9 / }).waitFor()
  await tab.locator('#send').click()
  for (const each of [page, tab]) await each.locator('#talk .stopped').waitFor()
  const talk = async (of: Page) => (await of.locator('#talk p').allTextContents()).slice(0, 3)
  t.strictSame(await talk(page), await talk(tab), 'both pages have the same answer, which the second one has stopped')

  await page.goto(`${server.url}/jobs.html`)
  await badge(page, 'live')
  const started = processOf(page, 'POST', /\/jobs$/)
  await page.getByLabel('File').selectOption('orders.csv')
  await page.getByRole('button', { name: 'Import' }).click()
  const importer = await started
  await tab.goto(`${server.url}/jobs.html`)
  await tab.locator('#jobs li[data-state=running]', { hasText: `process ${importer}` }).waitFor()
  await tab.getByRole('button', { name: 'Stop orders.csv' }).click()
  for (const each of [page, tab]) await each.getByText(/Stopped after [\d,]+ of 6,000 rows/).waitFor()

  await page.goto(`${server.url}/chat.html`)
  await badge(page, 'live')
  const again = processOf(page, 'POST', /\/chats\//)
  await page.locator('#send').click()
  const dying = await again
  await page.locator('#talk .writing', { hasText: 'word 2 ' }).waitFor()
  process.kill(dying, 'SIGKILL')
  await page.getByText(/The answer has failed/).waitFor({ timeout: LONG })
  t.match(await page.locator('#talk .answered').textContent(), /^word 1 word 2 /, 'the page keeps the answer so far')
  t.strictSame(unexpected([...first.faults, ...others]), [])
})

t.test('demo/cluster.ts prints which Redis it cannot reach', async (t) => {
  await t.rejects(startDemoServer(t, { REDIS_URL: 'redis://127.0.0.1:1' }, FILE), { message: /Redis.*ECONNREFUSED 127\.0\.0\.1:1.*\nIs Redis there\?/ })
})
