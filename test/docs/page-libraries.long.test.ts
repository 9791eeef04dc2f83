import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../helpers/app.js'
import { launchChromium, launchTabs } from '../helpers/chromium.js'
import { pageOf, root } from './document.js'
import { datastar1, datastarBeta, htmx2, htmx4, idsOf, type Library, libraries, open, type Opened, type OpenOptions, shows, turbo } from './page-library.js'

const page = pageOf('docs/page-libraries.md')
const browser = await launchChromium(t)
// most of the time passes while a test waits for a request that does not come
t.jobs = 2

/** Longer than any library waits before a reconnect in these tests, ms. A test waits that long for a request that must not come. */
const PATIENCE = 4_000

const ONE = '<li id="one">\n  one <b>bold</b>\n</li>'

const row = (id: string) => `<li id="${id}">${id}</li>`

/** Opens the page of a library, and waits until it shows a row. */
async function openLive (t: Test, library: Library, options?: OpenOptions, context: Pick<typeof browser, 'newPage'> = browser): Promise<Opened> {
  const opened = await open(t, context, library, options)
  await until('both streams', () => opened.app.sse.streams.size === 2)
  await opened.add(ONE)
  await shows(opened, 'one')
  return opened
}

/** Returns whether a condition becomes true. Waits longer if the test expects that, because the machine may be slow. */
function becomes (condition: () => unknown, expected: boolean): Promise<boolean> {
  return until('', condition, expected ? undefined : PATIENCE).then(() => true, () => false)
}

async function disconnect ({ app, proxy }: Opened): Promise<void> {
  proxy.interrupt()
  await until('the disconnect', () => app.sse.streams.size === 0)
}

/** Describes the next request after the first `before` ones, as the table of the page does. `expected` is the description that the test expects. */
async function nextRequest ({ requests }: Opened, before: number, expected: string): Promise<string> {
  if (!await becomes(() => requests.length > before, expected !== 'stops')) return 'stops'
  return requests[before]?.lastEventId === undefined ? 'without id' : 'with id'
}

/** The cell of a table of the page. */
function cellOf (first: string, library: Library): string {
  const lines = page.text.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const line = lines.findIndex((cells) => cells[1] === first)
  const names = lines.slice(0, line).findLast((cells) => cells.includes('htmx 2') && cells.length > 5)
  return lines[line]?.[names?.indexOf(library.name) ?? -1] ?? ''
}

/** Refuses the first reconnect after a broken connection. */
async function refuseReconnect (t: Test, library: Library, status: number, expected: string): Promise<string> {
  const opened = await openLive(t, library)
  opened.refusal = { status }
  await disconnect(opened)
  await opened.proxy.restore()
  await until('the reconnect', () => opened.requests.length > 1)
  if (status !== 204) opened.refusal = undefined
  return nextRequest(opened, 2, expected)
}

/** Rows of the tables, and functions that return what a library does. `expected` is the cell of the table. */
const cases: Array<[string, (t: Test, library: Library, expected: string) => Promise<string>]> = [
  ['ends the stream', async (t, library, expected) => {
    const opened = await openLive(t, library)
    for (const stream of opened.app.sse.streams.values()) stream.close()
    await opened.add(row('two'))
    const request = await nextRequest(opened, 1, expected)
    if (request === 'with id') await shows(opened, 'two')
    return request
  }],
  ['breaks the connection off', async (t, library, expected) => {
    const opened = await openLive(t, library)
    await disconnect(opened)
    for (const id of ['two', 'three']) await opened.add(row(id))
    await opened.proxy.restore()
    await shows(opened, 'three')
    t.strictSame(await idsOf(opened), ['one', 'two', 'three'], 'shows each row that it missed once')
    return nextRequest(opened, 1, expected)
  }],
  ['answers 503 to a reconnect', (t, library, expected) => refuseReconnect(t, library, 503, expected)],
  ['answers 204 to a reconnect', (t, library, expected) => refuseReconnect(t, library, 204, expected)],
  ['answers 401 to the first request', async (t, library, expected) => {
    const opened = await open(t, browser, library, { refusal: { status: 401, body: '{"statusCode":401}' } })
    await until('the first request', () => opened.requests.length > 0)
    opened.refusal = undefined
    const request = await nextRequest(opened, 1, expected)
    if (request !== 'stops') await until('both streams', () => opened.app.sse.streams.size === 2)
    t.notMatch(await opened.tab.innerText('body'), 'statusCode', 'does not show the refusal')
    return request
  }],
  ['the page is left', async (t, library, expected) => {
    const { app, tab } = await openLive(t, library)
    await tab.goto('about:blank')
    return await becomes(() => app.sse.streams.size === 0, expected === 'closed') ? 'closed' : 'open'
  }],
  ['a script removes the element', async (t, library, expected) => {
    const { app, tab, requests } = await openLive(t, library)
    await tab.evaluate('document.querySelectorAll("body > *").forEach((element) => element.remove())')
    const closed = await becomes(() => [...app.sse.streams.values()].every(({ topics }) => topics.size === 0), expected === 'closed')
    if (closed) t.equal(requests.length, 1)
    return closed ? 'closed' : 'open'
  }],
  ['the tab is hidden', async (t, library, expected) => {
    const tabs = await launchTabs(t)
    const opened = await openLive(t, library, {}, tabs)
    await (await tabs.newPage()).bringToFront()
    const closed = await becomes(() => opened.app.sse.streams.size === 0, expected === 'closed')
    await opened.add(row('two'))
    await opened.tab.bringToFront()
    await shows(opened, 'two')
    t.equal(opened.requests.length, closed ? 2 : 1)
    return closed ? 'closed' : 'open'
  }]
]

t.test('the table of versions has those of the installed packages', async (t) => {
  for (const [name, packages] of Object.entries({ 'htmx 2': ['htmx.org', 'htmx-ext-sse'], 'htmx 4': ['htmx-4'], 'Datastar beta': ['@starfederation/datastar'], Turbo: ['@hotwired/turbo'] })) {
    const line = page.sectionOf('Versions').split('\n').find((line) => line.startsWith(`| ${name} |`))
    for (const file of packages) t.match(line, ` ${JSON.parse(readFileSync(join(root, 'node_modules', file, 'package.json'), 'utf8')).version}`)
  }
})

for (const library of libraries) {
  t.test(`${library.name} shows the fragments and the rows of several lines as they are sent`, { buffered: true }, async (t) => {
    const opened = await openLive(t, library)
    const { app, tab, errors, requests } = opened
    t.equal(await opened.news(), ONE)
    t.equal(requests[0]?.url.includes('?datastar='), library.name.startsWith('Datastar'), 'only Datastar sends its signals')
    const price = () => tab.evaluate<string>('document.querySelector("#price").outerHTML')
    await until('a price', async () => /^<p id="price">\n {2}<b>\d+\.\d\d<\/b>\n<\/p>$/.test(await price()))
    const first = await price()
    await until('another price', async () => await price() !== first)
    t.equal(await tab.locator('#price').count(), 1)

    for (const form of ['htmx', 'datastar', 'turbo']) await app.sse.publish(`news:${form}`, { event: 'other', data: row('other') })
    await opened.add(ONE)
    await opened.add(row('two'))
    await shows(opened, 'two')
    t.strictSame(await idsOf(opened), library === turbo ? ['one', 'two'] : ['one', 'one', 'two'], 'events with another name are not shown, and Turbo shows a row that arrives twice once')
    t.strictSame(errors, [])
  })

  for (const [name, act] of cases) {
    t.test(`${library.name}, when ${/^(the|a) /.test(name) ? name : `the server ${name}`}`, { buffered: true }, async (t) => {
      const expected = cellOf(name, library)
      t.equal(await act(t, library, expected), expected)
    })
  }

  t.test(`${library.name} loads the list again after a gap`, { buffered: true }, async (t) => {
    const opened = await openLive(t, library, { changeRoutes: (code) => code.replace('\'news:{library}\')', '\'news:{library}\', { history: { size: 1 } })') })
    await disconnect(opened)
    for (const id of ['two', 'three', 'four']) await opened.add(row(id))
    await opened.proxy.restore()
    await shows(opened, 'three')
    await shows(opened, 'four')
    await opened.add(row('five'))
    await shows(opened, 'five')
    const twice = library.name.startsWith('Datastar') ? ['four'] : []
    t.strictSame(await idsOf(opened), ['one', 'two', 'three', 'four', ...twice, 'five'])
  })

  t.test(`${library.name} with Content-Security-Policy`, { buffered: true }, async (t) => {
    const isDatastar = library.name.startsWith('Datastar')
    const load = async (policy: string, works: boolean) => {
      const { app, requests, errors } = await open(t, browser, library, { headers: { 'content-security-policy': policy } })
      t.equal(await becomes(() => app.sse.streams.size === 2, works), works)
      if (!works) t.strictSame(requests, [])
      t.equal(errors.some((error) => error.includes('inline style')), library === htmx2 || library === turbo, 'adds a style')
    }
    await load('default-src \'self\'; img-src data:', !isDatastar)
    if (isDatastar) await load('default-src \'self\'; img-src data:; script-src \'self\' \'unsafe-eval\'', true)
  })
}

for (const [library, index] of [[htmx2, 0], [turbo, 1]] as const) {
  t.test(`the script of the page makes ${library.name} reconnect with its id after refusals`, { buffered: true }, async (t) => {
    const script = page.codeOf('Reconnect after a refusal', 'html')[index] ?? ''
    const opened = await openLive(t, { ...library, html: `${library.html}${script}` })
    opened.refusal = { status: 503 }
    await disconnect(opened)
    await opened.proxy.restore()
    await until('two refusals', () => opened.requests.length > 2)
    await opened.add(row('two'))
    opened.refusal = undefined
    await shows(opened, 'two')
    t.match(opened.requests.at(-1)?.url, /\?lastEventId=\d+-\d+$/)
    await opened.add(row('three'))
    await shows(opened, 'three')
    t.strictSame(await idsOf(opened), ['one', 'two', 'three'])
  })
}

for (const [library, index, change] of [[htmx2, 0, 'sse-close="done"'], [htmx4, 1, 'hx-sse:close="done"']] as const) {
  t.test(`${library.name} closes the stream at the event of \`end\`, and without it connects again`, { buffered: true }, async (t) => {
    const block = page.codeOf('End a stream for good', 'html')[index] ?? ''
    const scripts = library.html.slice(0, library.html.indexOf('\n\n'))
    const opened = await open(t, browser, { ...library, html: `${scripts}${block}` })
    await until('the result', async () => await opened.tab.innerText('#progress') === 'ready')
    t.equal(await nextRequest(opened, 1, 'stops'), 'stops')
    const other = await open(t, browser, { ...library, html: `${scripts}${block}` }, { changeHTML: (html) => html.replace(change, '') })
    t.equal(await nextRequest(other, 1, 'without id'), 'without id')
  })

  t.test(`${library.name} closes the streams of elements that it replaces`, { buffered: true }, async (t) => {
    const { app, tab } = await openLive(t, library)
    await tab.evaluate('htmx.ajax("GET", "/news.html", { target: "body", swap: "innerHTML" })')
    await until('the disconnect', () => app.sse.streams.size === 0)
  })
}

t.test('htmx 4 without hx-status shows the body of a refusal, and without `every` does not try again', { buffered: true }, async (t) => {
  const refusal = { status: 401, body: '{"statusCode":401}' }
  const shown = await open(t, browser, htmx4, { refusal, changeHTML: (html) => html.replaceAll(/hx-status:\dxx="swap:none"/g, '').replace(', every 2s', '') })
  await until('the refusal', async () => await shown.news() === refusal.body)
  shown.refusal = undefined
  t.equal(await nextRequest(shown, 1, 'stops'), 'stops')
})

t.test('htmx 2 sends cookies to other origins', { buffered: true }, async (t) => {
  const { tab } = await openLive(t, htmx2)
  t.equal(await tab.evaluate('htmx.createEventSource("/news/htmx").withCredentials'), true)
})

t.test('htmx 4 ignores the option retry, and its reconnectDelay sets the time', { buffered: true }, async (t) => {
  const delayOf = async (options?: OpenOptions) => {
    const opened = await openLive(t, htmx4, options)
    const start = performance.now()
    for (const stream of opened.app.sse.streams.values()) stream.close()
    await until('the reconnect', () => opened.requests.length > 1)
    return (opened.requests[1]?.time ?? 0) - start
  }
  // 500 ms and 2,000 ms, less the 30 % of chance
  t.ok(await delayOf() > 340)
  t.ok(await delayOf({ changeHTML: (html) => html.replace('<ul', '<ul hx-config=\'{"sse": {"reconnectDelay": 2000}}\'') }) > 1_390)
})

t.test('htmx 4 sends the headers in hx-headers, also when it reconnects', { buffered: true }, async (t) => {
  const opened = await openLive(t, htmx4, { changeHTML: (html) => html.replace('<ul', '<ul hx-headers=\'{"authorization": "Bearer a"}\'') })
  await disconnect(opened)
  await opened.proxy.restore()
  await until('the reconnect', () => opened.requests.length > 1)
  t.strictSame(opened.requests.map(({ authorization }) => authorization), ['Bearer a', 'Bearer a'])
})

t.test('Turbo closes a stream whose element a stream removes', { buffered: true }, async (t) => {
  const opened = await openLive(t, turbo, { changeHTML: (html) => html.replace('src="/news', 'id="source" src="/news') })
  await opened.app.sse.publish('news:turbo', { data: '<turbo-stream action="remove" target="source"></turbo-stream>' })
  await until('the disconnect', () => opened.app.sse.streams.size === 1)
})

for (const library of [...datastar1, datastarBeta]) {
  t.test(`${library.name} gives up after the attempts in retryMaxCount`, { buffered: true }, async (t) => {
    const opened = await openLive(t, library, { changeHTML: (html) => html.replaceAll('retryMaxCount: Infinity', 'retryMaxCount: 2') })
    await disconnect(opened)
    await until('both have given up', () => opened.errors.filter((error) => /fetch_?failed/i.test(error)).length === 2)
    await opened.proxy.restore()
    t.equal(await nextRequest(opened, 1, 'stops'), 'stops')
  })
}

for (const library of datastar1) {
  t.test('Datastar 1.0 without `retry` stops after a clean end', { buffered: true }, async (t) => {
    const opened = await openLive(t, library, { changeHTML: (html) => html.replaceAll('retry: \'always\', ', '') })
    for (const stream of opened.app.sse.streams.values()) stream.close()
    t.equal(await nextRequest(opened, 1, 'stops'), 'stops')
  })
}
