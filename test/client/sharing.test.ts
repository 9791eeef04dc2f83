import type { ServerResponse } from 'node:http'
import { type Test, test } from 'tap'
import { sse, SSEError } from '../../lib/client/index.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { serveTopics } from '../helpers/subscriber.js'
import { breaks, dies, ends, opens, says, serve } from './server.js'
import { type Locks, makeOrigin, setGlobals, type Tab } from './tabs.js'

/** Starts an app with topics. Its `url` is a stream of the topic `news`; `publish` publishes numbers to it. */
async function serveNews (t: Test) {
  const app = await makeApp(t, { heartbeat: 20 }, { forceCloseConnections: true })
  serveTopics(app)
  const published: string[] = []
  return {
    app,
    published,
    isOpen: () => app.sse.streams.size === 1,
    url: `http://127.0.0.1:${await listen(app)}/on/news`,
    async publish (...data: number[]) {
      for (const item of data) published.push(await app.sse.publish('news', { data: item }))
    }
  }
}

/** Waits until tabs have got the data. */
async function untilAllHave (data: unknown[], ...tabs: Tab[]): Promise<void> {
  await until(`all tabs have ${data}; they have ${tabs.map(({ data }) => data).join(' | ')}`, () => tabs.every((tab) => tab.data.length >= data.length))
  for (const tab of tabs) if (JSON.stringify(tab.data) !== JSON.stringify(data)) throw new Error(`${JSON.stringify(tab.data)} instead of ${JSON.stringify(data)}`)
}

test('tabs with the same name and URL share one connection, and each gets every event once', async (t) => {
  const { openTab } = makeOrigin(t)
  const { app, url, isOpen, publish, published } = await serveNews(t)
  const first = await openTab(url)
  await until('the connection', isOpen)
  const tabs = [first, await openTab(url), await openTab(url)]
  await until('all know the holder', () => tabs.every(({ holds }) => holds.length > 0))
  await publish(1, 2, 3)
  await untilAllHave([1, 2, 3], ...tabs)
  t.strictSame(tabs.map(({ ids }) => ids), [published, published, published])
  t.strictSame(tabs.map(({ holds }) => holds), [[true], [false], [false]], 'onShare')
  t.strictSame(tabs.map(({ events }) => events.lastEventId), Array(3).fill(published[2]))
  t.equal(app.sse.streams.size, 1)
  await openTab(url, { share: 'b' })
  await openTab(`${url}?other`)
  await until('other names and other URLs have other connections', () => app.sse.streams.size === 3)
})

test('a tab that joins without an id gets the events from then on', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, isOpen, publish } = await serveNews(t)
  const first = await openTab(url)
  await until('the connection', isOpen)
  await publish(1)
  await untilAllHave([1], first)
  const second = await openTab(url)
  await until('it has joined', () => second.holds.length > 0)
  await publish(2)
  await untilAllHave([1, 2], first)
  await untilAllHave([2], second)
})

test('when the holder leaves by break, return or abort, another tab continues with the newest id', async (t) => {
  const { openTab } = makeOrigin(t)
  const { app, url, isOpen, publish, published } = await serveNews(t)
  const abort = new AbortController()
  const tabs = [await openTab(url), await openTab(url, { signal: abort.signal }), await openTab(url), await openTab(url)]
  const [first, second, third] = tabs as [Tab, Tab, Tab, Tab]
  await until('all have joined', () => isOpen() && tabs.every(({ holds }) => holds.length > 0))
  await publish(1, 2)
  await untilAllHave([1, 2], ...tabs)
  await first.events.return?.()
  await publish(3)
  await untilAllHave([1, 2, 3], ...tabs.slice(1))
  t.same(first.result, {})
  abort.abort(new Error('enough'))
  await publish(4)
  await untilAllHave([1, 2, 3, 4], ...tabs.slice(2))
  t.match(second.result, { error: { message: 'enough' } })
  t.strictSame(third.ids, published)
  t.strictSame(tabs.map(({ holds }) => holds), [[true], [false, true], [false, true], [false]])
  await until('one connection', isOpen)
  t.equal(app.sse.stats().opened, 3)
})

test('a tab that is not the holder can leave without an effect on the others', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, requests } = await serve(t, opens('id: 1\ndata: 1\n\n'))
  const first = await openTab(url)
  await untilAllHave([1], first)
  const second = await openTab(url)
  await until('it has joined', () => second.holds.length > 0)
  await second.events.return?.()
  t.same(second.result, {})
  t.equal(first.result, undefined)
  t.equal(requests.length, 1)
})

test('a 204 and the data of the option `end` end the loops of all tabs', async (t) => {
  for (const answers of [[opens('data: 1\n\n'), says(204)], [opens('data: 1\n\n')]]) {
    const { openTab } = makeOrigin(t)
    let response: ServerResponse | undefined
    const { url, requests } = await serve(t, (...args) => { response = args[0]; return answers[0]?.(...args) }, ...answers.slice(1))
    const tabs = [await openTab(url, { end: '[DONE]' })]
    await untilAllHave([1], ...tabs)
    for (let i = 0; i < 3; i++) tabs.push(await openTab(url, { end: '[DONE]' }))
    await until('all have joined', () => tabs.every(({ holds }) => holds.length > 0))
    if (answers.length === 2) response?.end()
    else response?.write('data: [DONE]\n\n')
    await until('all loops end', () => tabs.every(({ result }) => result !== undefined))
    t.strictSame(tabs.map(({ result, data }) => [result, data]), [[{ error: undefined }, [1]], ...Array(3).fill([{ error: undefined }, []])])
    t.equal(requests.length, answers.length)
  }
})

test('the final failure of the holder rejects the loops of all tabs with the same error', async (t) => {
  const { openTab } = makeOrigin(t)
  let response: ServerResponse | undefined
  const { url, requests } = await serve(t, (...args) => { response = args[0]; return opens('id: 7\ndata: 1\n\n')(...args) }, says(401, 'signed out', { 'www-authenticate': 'Bearer' }))
  const tabs = [await openTab(url)]
  await until('the event', () => tabs[0]?.data.length === 1)
  tabs.push(await openTab(url, { lastEventId: '7' }))
  await until('both have joined', () => tabs.every(({ holds }) => holds.length > 0))
  response?.end()
  await until('both loops end', () => tabs.every(({ result }) => result !== undefined))
  for (const { result } of tabs) {
    t.ok(result?.error instanceof SSEError)
    t.match(result?.error, { name: 'SSEError', code: 'SSE_ERR_NO_STREAM', message: /status 401/, status: 401, body: 'signed out', lastEventId: '7' })
  }
  t.equal(tabs[0]?.result?.error?.headers?.get('www-authenticate'), 'Bearer')
  t.equal(tabs[1]?.result?.error?.headers, undefined, 'only the holder has the headers')
  t.equal(requests.length, 2)
})

test('without `reconnect`, the clean end and the failure of the stream end all tabs', async (t) => {
  for (const [answer, code] of [[ends, undefined], [breaks, 'SSE_ERR_CONNECTION']] as const) {
    const { openTab } = makeOrigin(t)
    const { url, requests } = await serve(t, (response, request) => { setTimeout(() => answer('data: 1\n\n')(response, request), 300) })
    const tabs = [await openTab(url, { reconnect: false }), await openTab(url, { reconnect: false })]
    await until('both loops end', () => tabs.every(({ result }) => result !== undefined))
    t.strictSame(tabs.map(({ data, result }) => [data, result?.error?.code]), [[[1], code], [[1], code]])
    t.equal(requests.length, 1)
  }
})

test('an error of a callback rejects the loop of its tab only, and another tab takes over', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, requests } = await serve(t, opens('data: 1\n\n'))
  const fail = () => { throw new Error('mine') }
  const first = await openTab(url, { onOpen: fail })
  const second = await openTab(url, { onShare: fail })
  const third = await openTab(url)
  await untilAllHave([1], third)
  for (const { result } of [first, second]) t.match(result, { error: { message: 'mine' } })
  t.strictSame(third.holds.at(-1), true)
  t.ok(requests.length >= 2)
})

test('each tab filters and parses the events by its own options', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, requests } = await serve(t, async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n')
    await until('all tabs', () => tabs.length === 4 && tabs.every(({ holds }) => holds.length > 0))
    response.write('id: 1\nevent: a\ndata: 1\n\nid: 2\ndata: text\n\nid: 3\nevent: gap\ndata: {"lastEventId":"2","oldestId":null}\n\nid: 4\nevent: b\ndata: 4\n\n')
  }, opens())
  const seen: unknown[] = []
  const tabs: Tab[] = []
  tabs.push(await openTab(url))
  tabs.push(await openTab(url, { text: true }))
  tabs.push(await openTab(url, { events: ['b'] }))
  tabs.push(await openTab(url, { onInvalid: (message) => { seen.push(message) }, onGap: (gap) => { seen.push(gap) } }))
  await until('the events', () => tabs[0]?.result && tabs.slice(1).every(({ data }) => data.at(-1) === 4 || data.at(-1) === '4'))
  t.match(tabs[0]?.result, { error: { code: 'SSE_ERR_DATA', lastEventId: '2' } })
  t.strictSame(tabs.map(({ data }) => data), [[1], ['1', 'text', '{"lastEventId":"2","oldestId":null}', '4'], [4], [1, 4]])
  t.strictSame(seen, [{ id: '2', event: 'message', data: 'text' }, { lastEventId: '2', oldestId: null }])
  t.ok(requests.length >= 1)
})

test('a slow loop in one tab delays no other tab, and gets its events later', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, isOpen, publish } = await serveNews(t)
  let resume = () => {}
  const wait = new Promise<void>((resolve) => { resume = resolve })
  const slow = await openTab(url, { each: () => wait })
  const fast = await openTab(url)
  await until('both have joined', () => isOpen() && slow.holds.length > 0 && fast.holds.length > 0)
  const data = Array.from({ length: 2_000 }, (_, i) => i)
  await publish(...data)
  await untilAllHave(data, fast)
  t.strictSame(slow.data, [0])
  resume()
  await untilAllHave(data, slow)
})

test('a loop that is aborted gets no more of the events that have arrived', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, isOpen, publish } = await serveNews(t)
  const abort = new AbortController()
  let resume = () => {}
  const wait = new Promise<void>((resolve) => { resume = resolve })
  const tab = await openTab(url, { signal: abort.signal, each: () => wait })
  const other = await openTab(url)
  await until('both have joined', () => isOpen() && tab.holds.length > 0 && other.holds.length > 0)
  await publish(1, 2, 3)
  await untilAllHave([1, 2, 3], other)
  abort.abort(new Error('enough'))
  resume()
  await until('the end', () => tab.result)
  t.match(tab.result, { error: { message: 'enough' } })
  t.strictSame(tab.data, [1])
})

test('a frozen holder hands over, and gets the events that it missed when it resumes', async (t) => {
  for (const [away, back] of [['freeze', 'resume'], ['pagehide', 'pageshow']] as const) {
    const { openTab } = makeOrigin(t)
    const { app, url, isOpen, publish } = await serveNews(t)
    const [first, second] = [await openTab(url), await openTab(url)]
    await until('both have joined', () => isOpen() && first.holds.length > 0 && second.holds.length > 0)
    await publish(1)
    await untilAllHave([1], first, second)
    first.page.dispatchEvent(new Event(away))
    await until('the other tab holds the connection', () => second.holds.at(-1) === true)
    await publish(2, 3, 4)
    await untilAllHave([1, 2, 3, 4], second)
    t.strictSame(first.data, [1])
    first.page.dispatchEvent(new Event(back))
    first.page.dispatchEvent(new Event(back))
    await untilAllHave([1, 2, 3, 4], first)
    await until('the connection to catch up is dropped', isOpen)
    t.strictSame([first.holds, second.holds], [[true, false], [false, true]])
    await publish(5)
    await untilAllHave([1, 2, 3, 4, 5], first, second)
    t.equal(app.sse.streams.size, 1)
    second.page.dispatchEvent(new Event(away))
    await publish(6)
    await untilAllHave([1, 2, 3, 4, 5, 6], first)
    await first.events.return?.()
    second.page.dispatchEvent(new Event(back))
    await untilAllHave([1, 2, 3, 4, 5, 6], second)
  }
})

test('a tab that joins with an id first gets the events after it', async (t) => {
  const { openTab } = makeOrigin(t)
  const { url, isOpen, publish, published } = await serveNews(t)
  const first = await openTab(url)
  await until('the connection', isOpen)
  await publish(1, 2, 3)
  await untilAllHave([1, 2, 3], first)
  const second = await openTab(url, { lastEventId: published[0] ?? null })
  await untilAllHave([2, 3], second)
  await publish(4)
  await untilAllHave([1, 2, 3, 4], first)
  await untilAllHave([2, 3, 4], second)
  await until('one connection', isOpen)
  t.strictSame(second.holds, [false])
})

/** Takes the lock of a URL, and returns a function that posts events with the ids from..to, as the holder does. */
async function holdLock (t: Test, locks: Locks, url: string) {
  const name = `sse a ${url}`
  const channel = new BroadcastChannel(name)
  let release = () => {}
  t.teardown(() => channel.close())
  await new Promise<void>((resolve) => {
    locks.request(name, {}, async () => {
      resolve()
      await new Promise<void>((resolve) => { release = resolve })
    })
  })
  return {
    release: () => release(),
    post (from: number, to: number) {
      for (let i = from; i < to; i++) channel.postMessage({ link: { from: String(i), lastEventId: String(i + 1), message: { id: String(i + 1), event: 'message', data: String(i + 1) } } })
    }
  }
}

/** The text of events with the ids from..to. */
const textOf = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `id: ${from + i}\ndata: ${from + i}\n\n`).join('')

test('events that a new holder repeats are dropped, in all tabs', async (t) => {
  const { locks, openTab } = makeOrigin(t)
  let response: ServerResponse | undefined
  const { url, requests } = await serve(t, (...args) => {
    response = args[0]
    return opens()(...args)
  })
  const { post, release } = await holdLock(t, locks, url)
  const tab = await openTab(url)
  post(0, 2_000)
  await until('the events', () => tab.data.length === 2_000)
  post(1_700, 2_002)
  post(1_990, 2_003)
  release()
  await until('the tab connects', () => response)
  t.equal(requests[0]?.headers['last-event-id'], '2003', 'after the events that were on their way')
  post(2_003, 2_006)
  post(5_000, 5_001)
  await until('late events', () => tab.data.length === 2_006)
  response?.write(textOf(2_004, 2_007))
  await until('the new event', () => tab.data.at(-1) === 2_007)
  t.strictSame(tab.data, Array.from({ length: 2_007 }, (_, i) => i + 1))
  t.equal(requests.length, 1)
})

test('a tab that is behind changes over to the holder at the first id that both have reached', async (t) => {
  const { locks, openTab } = makeOrigin(t)
  let response: ServerResponse | undefined
  const { url, requests } = await serve(t, (...args) => {
    response = args[0]
    return opens()(...args)
  })
  const { post } = await holdLock(t, locks, url)
  const dropped = () => until('the connection is dropped', () => response?.destroyed)
  const tab = await openTab(url, { lastEventId: '10' })
  post(100, 900)
  await until('it connects', () => response)
  t.equal(requests[0]?.headers['last-event-id'], '10')
  response?.write(textOf(11, 350))
  await until('it has read the events', () => tab.data.at(-1) === 350)
  t.notOk(response?.destroyed, 'the tab remembers only the newest events of the holder')
  response?.write(textOf(351, 500))
  await until('it has all events', () => tab.data.at(-1) === 900)
  await dropped()
  t.strictSame(tab.data, Array.from({ length: 890 }, (_, i) => i + 11))

  post(950, 951)
  await until('it connects again', () => requests.length === 2)
  response?.write('id: 953\n\n')
  await until('an id alone', () => tab.events.lastEventId === '953')
  response?.write(textOf(954, 955))
  await until('it is ahead of the holder', () => tab.data.at(-1) === 955)
  t.notOk(response?.destroyed)
  post(953, 957)
  await dropped()
  await until('the rest', () => tab.data.at(-1) === 957)
  t.strictSame(tab.data.slice(-4), [954, 955, 956, 957])
  t.strictSame(tab.holds, [false])
})

test('a connection to catch up that ends or fails ends only its tab', async (t) => {
  const { locks, openTab } = makeOrigin(t)
  const { url } = await serve(t, says(204), says(404))
  const { post } = await holdLock(t, locks, url)
  const other = await openTab(url)
  const [first, second] = [await openTab(url, { lastEventId: '1' }), await openTab(url, { lastEventId: '1' })]
  post(5, 6)
  await until('both end', () => first.result && second.result)
  t.strictSame([first.result?.error?.status, second.result?.error?.status].sort(), [404, undefined])
  post(6, 7)
  await until('the other goes on', () => other.data.length === 2)
})

test('`share` is for GET', (t) => {
  t.throws(() => sse('http://127.0.0.1:1/', { share: 'a', method: 'POST' }), { code: 'SSE_ERR_OPTION', message: 'The option "share" takes only the method GET, got "POST"' })
  t.end()
})

test('where tabs cannot share, each has a separate connection', async (t) => {
  const { url, requests } = await serve(t, opens('data: 1\n\n'))
  const locks = { query: () => Promise.reject(new Error('not in this frame')) }
  for (const globals of [{ location: undefined }, { BroadcastChannel: undefined }, { navigator: undefined }, { navigator: {} }, { navigator: { locks } }]) {
    await t.test(`without ${JSON.stringify(Object.keys(globals))}`, async (t) => {
      const { locks } = makeOrigin(t)
      setGlobals(t, globals)
      const before = requests.length
      for (let i = 0; i < 2; i++) {
        const events = sse(url, { share: 'a', onShare: () => t.fail('onShare') })
        t.match(await events.next(), { value: { data: 1 } })
        await events.return?.()
      }
      t.equal(requests.length, before + 2)
      t.equal(locks.requests, 0)
    })
  }
})

test('a lock that the browser refuses rejects the loop', async (t) => {
  makeOrigin(t)
  setGlobals(t, { navigator: { locks: { query: async () => ({}), request: async () => { throw new Error('refused') } } } })
  await t.rejects(sse('http://127.0.0.1:1/', { share: 'a' }).next(), { message: 'refused' })
})

test('a tab that was aborted before its first event takes no part', async (t) => {
  const { locks } = makeOrigin(t)
  const { url } = await serve(t, dies)
  const events = sse(url, { share: 'a' })
  const next = events.next()
  await events.return?.()
  t.strictSame(await next, { done: true, value: undefined })
  t.strictSame((await locks.query()).held, [])
})
