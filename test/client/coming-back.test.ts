import { getEventListeners } from 'node:events'
import { test } from 'tap'
import { sse, type SSEClientOptions, SSEError } from '../../lib/client/index.js'
import { until } from '../helpers/until.js'
import { breaks, dies, ends, opens, says, serve } from './server.js'

type Retry = Parameters<NonNullable<SSEClientOptions['onRetry']>>[0]
type Open = Parameters<NonNullable<SSEClientOptions['onOpen']>>[0]

/** Iterates over a url to its end or its error. */
async function follow (url: string, options: SSEClientOptions = {}) {
  const [data, retries, opened]: [unknown[], Retry[], Open[]] = [[], [], []]
  const told = { onRetry: (retry: Retry) => { retries.push(retry) }, onOpen: (open: Open) => { opened.push(open) } }
  let error: unknown
  try {
    for await (const event of sse(url, { retry: { delay: 1 }, ...told, ...options })) data.push(event.data)
  } catch (thrown) {
    error = thrown
  }
  return { data, retries, opened, error }
}

test('a GET reconnects after a clean end and after temporary failures, until a 204', async (t) => {
  const { url, requests } = await serve(t,
    ends('id: 1\ndata: 1\n\n'), breaks('id: 2\ndata: 2\n\nid: 3\ndata: 3'), dies, says(503, 'later'), says(500), says(429), ends('data: 4\n\n'), says(204))
  const { data, retries, opened, error } = await follow(url)
  t.equal(error, undefined)
  t.strictSame(data, [1, 2, 4])
  t.strictSame(requests.map(({ headers }) => headers['last-event-id']), [undefined, '1', '2', '2', '2', '2', '2', '2'])
  t.strictSame(retries.map(({ attempt, error }) => [attempt, error?.code, error?.status]), [
    [2, undefined, undefined], [3, 'SSE_ERR_CONNECTION', undefined], [4, 'SSE_ERR_CONNECTION', undefined],
    [5, 'SSE_ERR_NO_STREAM', 503], [6, 'SSE_ERR_NO_STREAM', 500], [7, 'SSE_ERR_NO_STREAM', 429], [8, undefined, undefined]
  ], 'and says why')
  t.strictSame(opened.map(({ attempt, lastEventId, response }) => [attempt, lastEventId, response.status]), [[1, null, 200], [2, '1', 200], [7, '2', 200]])
})

test('a permanent failure ends the loop with status, headers and body of the response', async (t) => {
  for (const status of [400, 401, 404, 418]) {
    const { url, requests } = await serve(t, ends('data: 1\n\n'), says(status, '{"message":"no"}', { 'content-type': 'application/json', 'x-why': 'because' }))
    const { data, error } = await follow(url)
    t.strictSame([data, requests.length], [[1], 2])
    t.ok(error instanceof SSEError)
    t.match(error, { name: 'SSEError', code: 'SSE_ERR_NO_STREAM', status, body: '{"message":"no"}', message: `The answer is no event stream: status ${status}, content-type application/json` })
    t.equal((error as SSEError).headers?.get('x-why'), 'because')
  }
  for (const type of ['text/html', 'text/event-stream-not', undefined]) {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    const { url } = await serve(t, says(200, '', headers), says(200, 'x', headers))
    const { error, retries } = await follow(url)
    t.match(error, { code: 'SSE_ERR_NO_STREAM', status: 200, body: 'x' })
    t.equal(retries.length, 1, 'one without a body may be half an answer')
  }
})

test('a response without a body is not a stream', async (t) => {
  const { url } = await serve(t, says(200, '', { 'content-type': 'text/event-stream' }))
  t.match((await follow(url, { method: 'HEAD' })).error, { code: 'SSE_ERR_NO_STREAM', status: 200 })
})

test('other methods, and a GET with `reconnect: false`, are requested once', async (t) => {
  for (const options of [{ method: 'POST' }, { reconnect: false }]) {
    const done = await serve(t, ends('data: 1\n\n'))
    t.match(await follow(done.url, options), { data: [1], error: undefined }, 'a clean end is the end')
    const broken = await serve(t, breaks('data: 1\n\n'))
    t.match(await follow(broken.url, options), { data: [1], error: { code: 'SSE_ERR_CONNECTION', cause: Error } }, 'a broken stream is an error')
    t.match(await follow((await serve(t, dies)).url, options), { data: [], error: { code: 'SSE_ERR_CONNECTION' } })
    t.match(await follow((await serve(t, says(503, 'no'))).url, options), { error: { code: 'SSE_ERR_NO_STREAM', status: 503, body: 'no' } })
    t.strictSame([done.requests.length, broken.requests.length], [1, 1])
  }
  const again = await serve(t, breaks('data: 1\n\n'), says(204))
  t.match(await follow(again.url, { method: 'POST', body: 'x', reconnect: true }), { data: [1], error: undefined })
  t.strictSame(again.requests.map(({ method }) => method), ['POST', 'POST'])
})

test('the client gives up after retry.maxRetries consecutive failures', async (t) => {
  const { url, requests } = await serve(t, dies, breaks('data: 1\n\n'), dies, dies, says(503))
  const { data, error } = await follow(url, { retry: { delay: 1, maxRetries: 3 } })
  t.match(error, { code: 'SSE_ERR_NO_STREAM', status: 503 }, 'with the last')
  t.strictSame([data, requests.length], [[1], 5], 'what comes in between begins the count anew')
  const none = await serve(t, ends('data: 1\n\n'), breaks('data: 2\n\n'))
  t.match(await follow(none.url, { retry: { delay: 1, maxRetries: 0 } }), { data: [1, 2], error: { code: 'SSE_ERR_CONNECTION' } })
})

test('reconnect delays are random, double with each failure and have a maximum', async (t) => {
  const { url } = await serve(t, dies)
  const longest: number[] = []
  for (let round = 0; round < 20; round++) {
    const { retries } = await follow(url, { retry: { delay: 4, maxDelay: 12, maxRetries: 4 } })
    for (const [i, { delay }] of retries.entries()) longest[i] = Math.max(longest[i] ?? 0, delay)
  }
  for (const [i, most] of [4, 8, 12, 12].entries()) {
    const found = longest[i] ?? NaN
    t.ok(found <= most && found > most / 3, `${found} of ${most}`)
  }
})

test('the client waits for the delay of `retry:` or Retry-After', async (t) => {
  const { url, times } = await serve(t, ends('retry: 160\n\n'), breaks('data: 1\n\n'), says(503, '', { 'retry-after': '1' }), says(204))
  const { retries } = await follow(url, { retry: { delay: 5 } })
  const [afterEnd, afterBreak, afterRefusal] = retries.map(({ delay }) => delay)
  t.equal(afterEnd, 160, 'retry')
  t.ok(Number(afterBreak) >= 160 && Number(afterBreak) <= 165, 'retry, and some more after a failure')
  t.ok(Number(afterRefusal) >= 1_000 && Number(afterRefusal) <= 1_010, 'Retry-After')
  for (const [i, { delay }] of retries.entries()) t.ok(Number(times[i + 1]) - Number(times[i]) >= delay - 2, `${delay} ms`)

  const date = new Date(Date.now() + 3_000).toUTCString()
  for (const [value, least, most] of [[date, 1_500, 3_001], ['Thu, 01 Jan 1970 00:00:00 GMT', 0, 1], ['soon', 0, 1]] as const) {
    const told = new AbortController()
    const { url } = await serve(t, says(429, '', { 'retry-after': value }))
    const seen: number[] = []
    await t.rejects(sse(url, {
      signal: told.signal,
      retry: { delay: 0 },
      onRetry: ({ delay }) => {
        seen.push(delay)
        told.abort()
      }
    }).next(), { name: 'AbortError' })
    t.ok(Number(seen[0]) >= least && Number(seen[0]) <= most, `${value}: ${seen[0]} ms`)
  }
})

test('a connection without bytes is closed after inactivityTimeout', async (t) => {
  const inactivityTimeout = 400
  const { url, times } = await serve(t, opens('data: 1\n\n'), () => {}, says(204))
  const { data, retries } = await follow(url, { inactivityTimeout })
  t.strictSame([data, retries.map(({ error }) => error?.code)], [[1], ['SSE_ERR_INACTIVITY_TIMEOUT', 'SSE_ERR_INACTIVITY_TIMEOUT']], 'with an answer or without')
  t.ok(Number(times[2]) - Number(times[0]) >= 2 * inactivityTimeout - 2)
})

test('inactivityTimeout closes no connection that waits for the response to a POST, has heartbeats, or waits for the loop', async (t) => {
  const inactivityTimeout = 400
  const thinking = await serve(t, (response, request) => { setTimeout(() => opens('data: 1\n\n')(response, request), 2 * inactivityTimeout) })
  const beating = await serve(t, (response, request) => {
    opens()(response, request)
    const timer = setInterval(() => response.write(':\n\n'), inactivityTimeout / 10)
    response.on('close', () => clearInterval(timer))
    setTimeout(() => response.end('data: 1\n\n'), 2 * inactivityTimeout)
  })
  const slow = await serve(t, opens('data: 1\n\n', 'data: 2\n\n'))
  await Promise.all([
    follow(thinking.url, { method: 'POST', inactivityTimeout }).then((followed) => {
      t.match(followed, { data: [1], error: { code: 'SSE_ERR_INACTIVITY_TIMEOUT' } }, 'while one that is not asked again thinks before its answer')
    }),
    follow(beating.url, { reconnect: false, inactivityTimeout }).then((followed) => t.match(followed, { data: [1], error: undefined }, 'while its heart beats')),
    t.resolves(async () => {
      for await (const { data } of sse(slow.url, { inactivityTimeout, reconnect: false })) {
        if (data === 2) break
        await new Promise((resolve) => { setTimeout(resolve, 2 * inactivityTimeout) })
      }
    }, 'while its events are not taken')
  ])
})

test('after the computer slept, inactivityTimeout starts anew, so that bytes that arrived meanwhile are read', async (t) => {
  const { url } = await serve(t, (response, request) => {
    opens(':\n\n')(response, request)
    const timer = setInterval(() => { response.write('data: 1\n\n') }, 20)
    response.on('close', () => clearInterval(timer))
  })
  const events = sse(url, { inactivityTimeout: 400, reconnect: false })
  await events.next()
  const next = events.next()
  const end = performance.now() + 1_700
  while (performance.now() < end);
  t.match(await next, { value: { data: 1 } })
  await events.return?.()
})

test('a function `headers` is called for each attempt', async (t) => {
  const { url, requests } = await serve(t, dies, dies, says(204))
  const attempts: number[] = []
  const { retries } = await follow(url, {
    headers: async (attempt) => {
      attempts.push(attempt)
      if (attempt === 2) throw new Error('no token')
      return { authorization: `Bearer ${attempt}` }
    }
  })
  t.strictSame(attempts, [1, 2, 3, 4])
  t.strictSame(requests.map(({ headers }) => headers.authorization), ['Bearer 1', 'Bearer 3', 'Bearer 4'])
  t.match(retries[1]?.error, { code: 'SSE_ERR_CONNECTION', message: 'The connection failed: no token' }, 'one for which that fails is a failure')
  const noError: unknown = 'none'
  t.match((await follow(url, { reconnect: false, headers: () => Promise.reject(noError) })).error, { code: 'SSE_ERR_CONNECTION', message: 'The connection failed: none', cause: 'none' })
})

test('an error of a callback ends the loop without another attempt', async (t) => {
  const fail = () => { throw new Error('mine') }
  const { url, requests } = await serve(t, ends('event: gap\ndata: {}\n\n'))
  for (const options of [{ onOpen: fail }, { onGap: fail }, { onRetry: fail }, { onOpen: async () => fail() }]) {
    await t.rejects(async () => { for await (const { event } of sse(url, options)) t.type(event, 'string') }, { message: 'mine' })
  }
  t.equal(requests.length, 4)
})

test('the server sees the disconnect of a client at once', async (t) => {
  let closed = 0
  const { url, requests } = await serve(t, (response, request) => {
    response.on('close', () => { closed++ })
    opens('data: 1\n\n')(response, request)
  })
  for await (const { data } of sse(url)) if (data === 1) break
  await until('break', () => closed === 1)

  const waiting = sse(url)
  await waiting.next()
  const next = waiting.next()
  t.strictSame(await waiting.return?.(), { done: true, value: undefined })
  t.strictSame(await next, { done: true, value: undefined }, 'what is awaited comes to its end')
  await until('return', () => closed === 2)

  const leave = new AbortController()
  const events = sse(url, { signal: leave.signal })
  await events.next()
  const rejected = t.rejects(events.next(), { message: 'enough' })
  leave.abort(new Error('enough'))
  await rejected
  await until('abort', () => closed === 3)
  t.strictSame(await events.next(), { done: true, value: undefined })
  t.strictSame(getEventListeners(leave.signal, 'abort'), [], 'and nothing listens to the signal any more')
  await t.rejects(sse(url, { signal: leave.signal }).next(), { message: 'enough' }, 'one that is aborted already asks for nothing')
  t.equal(requests.length, 3)
})

test('the loop can be left before and during a reconnect delay', async (t) => {
  const { url } = await serve(t, dies)
  for (const turn of [() => {}, () => new Promise(setImmediate)]) {
    let told = () => {}
    const retrying = new Promise<void>((resolve) => { told = resolve })
    const events = sse(url, { retry: { delay: 1e9, maxDelay: 1e9 }, onRetry: () => told() })
    const next = events.next()
    await retrying
    await turn()
    await events.return?.()
    t.strictSame(await next, { done: true, value: undefined })
  }
})

test('an online event does not end a delay of the server that is longer than any timer', async (t) => {
  const page = new EventTarget()
  Object.assign(globalThis, { addEventListener: page.addEventListener.bind(page) })
  t.teardown(() => { Reflect.deleteProperty(globalThis, 'addEventListener') })
  const { url, requests } = await serve(t, says(503, '', { 'retry-after': '3000000' }), says(204))
  const leave = new AbortController()
  let retries = 0
  const done = follow(url, { signal: leave.signal, onRetry: () => { retries++ } })
  await until('it waits', () => retries === 1)
  page.dispatchEvent(new Event('online'))
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(requests.length, 1)
  leave.abort()
  await done.catch(() => {})
})

test('a hidden or offline page reconnects once it is visible or online', async (t) => {
  const page = new EventTarget()
  const before = Object.getOwnPropertyDescriptors(globalThis)
  const view = { hidden: true }
  Object.assign(globalThis, { addEventListener: page.addEventListener.bind(page), document: view })
  t.teardown(() => { for (const name of ['addEventListener', 'document']) if (!(name in before)) Reflect.deleteProperty(globalThis, name) })
  const { url, requests } = await serve(t, dies, dies, breaks('retry: 300\n\n'), says(204))
  const long = { delay: 1e9, maxDelay: 1e9 }
  let retries = 0
  const done = follow(url, { retry: long, onRetry: () => { retries++ } })
  await until('it waits', () => retries === 1)
  page.dispatchEvent(new Event('visibilitychange'))
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(requests.length, 1, 'not while it is hidden')
  view.hidden = false
  page.dispatchEvent(new Event('visibilitychange'))
  await until('it waits again', () => retries === 2)
  view.hidden = true
  page.dispatchEvent(new Event('online'))
  await until('it waits for the third time', () => retries === 3)
  const begun = performance.now()
  page.dispatchEvent(new Event('online'))
  await done
  t.ok(performance.now() - begun > 250, 'not before the time that the server asked for')
})
