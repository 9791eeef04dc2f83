import t, { type Test } from 'tap'
import { until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { idsOf, type Library, libraries, open, type Opened, shows } from './page-library.js'

const browser = await launchChromium(t)

/** Longer than the delay of every library before a reconnect in these tests. */
const PATIENCE = 4_000

const ONE = '<li id="one">\n  one <b>bold</b>\n</li>'

/** Opens the page of a library, and waits until it shows a row. */
async function openLive (t: Test, library: Library): Promise<Opened> {
  const opened = await open(t, browser, library)
  await until('both streams', () => opened.app.sse.streams.size === 2)
  await opened.add(ONE)
  await shows(opened, 'one')
  return opened
}

function endStreams ({ app }: Opened): void {
  for (const stream of app.sse.streams.values()) stream.close()
}

/** Describes what a library does after `before` requests: whether it requests the rows again, and whether it shows those that it missed. */
async function reconnects (opened: Opened, before: number): Promise<string> {
  const { requests } = opened
  const again = await until('a request', () => requests.length > before, PATIENCE).then(() => true, () => false)
  if (!again) return 'stops'
  const result = requests[before]?.lastEventId === undefined ? 'reconnects without the id' : 'reconnects'
  return result
}

const cases: Array<[string, (t: Test, library: Library) => Promise<string>]> = [
  ['ends the stream', async (t, library) => {
    const opened = await openLive(t, library)
    endStreams(opened)
    await opened.add('<li id="two">two</li>')
    return reconnects(opened, 1)
  }],
  ['breaks the connection off', async (t, library) => {
    const opened = await openLive(t, library)
    opened.proxy.interrupt()
    await until('the disconnect', () => opened.app.sse.streams.size === 0)
    await opened.add('<li id="two">two</li>')
    await opened.proxy.restore()
    return reconnects(opened, 1)
  }],
  ['answers 503 to a reconnect', async (t, library) => {
    const opened = await openLive(t, library)
    opened.refusal = { status: 503, body: '{"statusCode":503}' }
    opened.proxy.interrupt()
    await opened.proxy.restore()
    await until('a request', () => opened.requests.length > 1, PATIENCE).catch(() => {})
    const before = opened.requests.length
    opened.refusal = undefined
    return before === 1 ? 'no request' : reconnects(opened, before)
  }],
  ['answers 204 to a reconnect', async (t, library) => {
    const opened = await openLive(t, library)
    opened.refusal = { status: 204 }
    opened.proxy.interrupt()
    await opened.proxy.restore()
    await until('a request', () => opened.requests.length > 1, PATIENCE).catch(() => {})
    const before = opened.requests.length
    return before === 1 ? 'no request' : reconnects(opened, before)
  }],
  ['answers 503 to the first request', async (t, library) => {
    const opened = await open(t, browser, library, { refusal: { status: 503, body: '{"statusCode":503}' } })
    await until('a request', () => opened.requests.length > 0)
    opened.refusal = undefined
    return `${await reconnects(opened, 1)} ${await opened.news()} ${opened.errors}`
  }],
  ['answers 401 to the first request', async (t, library) => {
    const opened = await open(t, browser, library, { refusal: { status: 401, body: '{"statusCode":401}' } })
    await until('a request', () => opened.requests.length > 0)
    opened.refusal = undefined
    return `${await reconnects(opened, 1)} ${await opened.news()} ${opened.errors}`
  }]
]

for (const library of libraries.filter(({ name }) => new RegExp(process.env.LIB ?? '').test(name))) {
  t.test(`${library.name}`, async (t) => {
    const opened = await openLive(t, library)
    t.equal(await opened.news(), ONE)
    await until('a price', async () => /^\s*\d+\.\d\d\s*$/.test(await opened.tab.locator('#price b').innerText()))
    console.error(library.name, 'price', JSON.stringify(await opened.tab.locator('#price').evaluate((e) => e.outerHTML)), opened.errors)
    await opened.tab.goto('about:blank')
    await until('closed', () => opened.app.sse.streams.size === 0)
    for (const [name, act] of cases) {
      await t.test(name, async (t) => {
        const b = Date.now()
        console.error(library.name, '|', name, '|', await act(t, library).catch((e) => `ERR ${e.stack}`), Date.now() - b)
      })
    }
    void idsOf
  })
}
