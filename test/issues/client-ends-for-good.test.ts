// Symptom: a loop over sse() ends at the first text that is not JSON, such as "[DONE]", or after a 401, and nothing says where to resume.
// Cause: the client had no options for the last event, for data that is not JSON and for the decision to retry.
import { test } from 'tap'
import { sse, type SSEClientOptionsFor, SSEError } from '../../lib/client/index.js'
import { breaks, ends, opens, says, serve } from '../client/server.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { serveTopics } from '../helpers/subscriber.js'

type Options = SSEClientOptionsFor<Record<string, unknown>>

/** Reads the events of a url until the loop ends or rejects. */
async function readAll (url: string, options: Options = {}) {
  const events: unknown[] = []
  const iterable = sse(url, { retry: { delay: 1 }, ...options })
  let error: unknown
  try {
    for await (const { event, data } of iterable) events.push([event, data])
  } catch (thrown) {
    error = thrown
  }
  return { events, error, lastEventId: iterable.lastEventId }
}

test('the client ends the loop at the data given as `end`, does not yield it and does not reconnect', async (t) => {
  const { url, requests } = await serve(t, opens('id: 1\ndata: {"n":1}\n\nid: 2\ndata: [DONE]\n\ndata: {"n":2}\n\n'))
  t.strictSame(await readAll(url, { end: '[DONE]' }), { events: [['message', { n: 1 }]], error: undefined, lastEventId: '2' })
  t.strictSame(await readAll(url, { end: '[DONE]', text: true, events: ['done'] }), { events: [], error: undefined, lastEventId: '2' }, '`end` also matches an event that `events` does not name')
  t.equal(requests.length, 2)
  await until('the connections to be closed', () => requests.every(({ socket }) => socket.destroyed))
})

test('the client yields empty data as undefined, or as an empty string for events of the option `text`', async (t) => {
  const { url } = await serve(t, ends('event: done\ndata:\n\nevent: token\ndata:\n\ndata: 1\n\n'))
  t.strictSame(await readAll(url, { reconnect: false, text: ['token'] }), { events: [['done', undefined], ['token', ''], ['message', 1]], error: undefined, lastEventId: null })
})

test('the client passes data that is not JSON to `onInvalid` in order, awaits it and continues', async (t) => {
  const { url } = await serve(t, ends('data: 1\n\nid: 7\nevent: note\ndata: back in 5 minutes\n\ndata: {\n\ndata: 2\n\nevent: gap\ndata: {\n\n'))
  const seen: unknown[] = []
  const options: Options = {
    reconnect: false,
    onGap: () => { t.fail('the data of the gap is not JSON') },
    onInvalid: async (event) => {
      await new Promise(setImmediate)
      seen.push(event)
    }
  }
  for await (const { data } of sse(url, options)) seen.push(data)
  t.strictSame(seen, [
    1,
    { id: '7', event: 'note', data: 'back in 5 minutes' },
    { id: undefined, event: 'message', data: '{' },
    2,
    { id: undefined, event: 'gap', data: '{' }
  ])
})

test('without `onInvalid`, data that is not JSON rejects with SSE_ERR_DATA and the id from which to resume', async (t) => {
  const { url, requests } = await serve(t, opens('id: 1\ndata: 1\n\nid: 2\ndata: oops\n\nid: 3\ndata: 3\n\n'), ends('id: 3\ndata: 3\n\n'))
  const { events, error, lastEventId } = await readAll(url)
  t.ok(error instanceof SSEError)
  t.match(error, { code: 'SSE_ERR_DATA', lastEventId: '2', message: /"message" is not JSON; the options "text", "end" and "onInvalid" are for text$/ })
  t.strictSame([events, lastEventId], [[['message', 1]], '2'])
  t.strictSame((await readAll(url, { reconnect: false, lastEventId: (error as SSEError).lastEventId })).events, [['message', 3]])
  t.strictSame(requests.map(({ headers }) => headers['last-event-id']), [undefined, '2'])
})

test('a text that is broadcast to a stream of JSON data is passed to `onInvalid`', async (t) => {
  const app = await makeApp(t)
  serveTopics(app)
  const url = `http://127.0.0.1:${await listen(app)}/on/prices`
  const invalid: string[] = []
  const tolerant = sse(url, { onInvalid: ({ data }) => { invalid.push(data) } })
  const strict = sse(url)
  const first = tolerant.next()
  // asserted from the start, because a rejection without a handler counts as unhandled
  const refused = t.rejects(strict.next(), { code: 'SSE_ERR_DATA' })
  await until('both streams to be open', () => app.sse.streams.size === 2)
  await app.sse.broadcast('maintenance at noon')
  await app.sse.publish('prices', { data: { price: 1 } })
  t.match(await first, { value: { data: { price: 1 } } })
  t.strictSame(invalid, ['maintenance at noon'])
  await refused
  await tolerant.return?.()
})

test('the client yields only the events named in `events`, does not parse others as JSON, and counts their ids', async (t) => {
  const text = 'id: 1\nevent: price\ndata: 1\n\nid: 2\nevent: note\ndata: oops\n\nid: 3\nevent: gap\ndata: {"lastEventId":"1","oldestId":null}\n\nid: 4\ndata: 2\n\n'
  const { url, requests } = await serve(t, ends(text), says(204))
  t.strictSame(await readAll(url, { events: ['price'] }), { events: [['price', 1]], error: undefined, lastEventId: '4' })
  t.equal(requests[1]?.headers['last-event-id'], '4')

  const gap = await serve(t, ends(text))
  const gaps: unknown[] = []
  const { events } = await readAll(gap.url, { reconnect: false, events: ['message'], onGap: (gap) => { gaps.push(gap) } })
  t.strictSame([events, gaps], [[['message', 2]], [{ lastEventId: '1', oldestId: null }]], 'a gap is passed to onGap, also if `events` does not name it')
  const none = await serve(t, ends('event: gap\ndata:\n\n'))
  t.strictSame((await readAll(none.url, { reconnect: false, onGap: () => { t.fail('a gap without data was not sent by the log') } })).events, [['gap', undefined]])
  t.strictSame((await readAll(gap.url, { reconnect: false, events: ['gap'] })).events, [['gap', { lastEventId: '1', oldestId: null }]])
})

test('`lastEventId` is the id of the last yielded event, not of the last received one', async (t) => {
  const { url } = await serve(t, opens('id: 1\ndata: 1\n\nid: 2\n\n:\n\ndata: 2\n\nid: 3\ndata: 3\n\nid: 4\ndata: 4\n\n'))
  const events = sse(url, { lastEventId: '0' })
  const ids = [events.lastEventId]
  for await (const { data } of events) {
    ids.push(events.lastEventId)
    if (data === 3) break
  }
  t.strictSame(ids, ['0', '1', '2', '3'])
  t.equal(events.lastEventId, '3', 'event 4 was received together with event 3')
  t.equal(sse(url).lastEventId, null)
})

test('a failure has the `lastEventId` from which to resume', async (t) => {
  const { url, requests } = await serve(t, breaks('id: 1\ndata: 1\n\nid: 2\ndata: 2\n'), says(403), ends('data: 1\n\n'))
  const errors: unknown[] = []
  const { error } = await readAll(url, { onRetry: ({ error }) => { errors.push(error) } })
  t.match(errors, [{ code: 'SSE_ERR_CONNECTION', lastEventId: '1' }])
  t.match(error, { code: 'SSE_ERR_NO_STREAM', status: 403, lastEventId: '1' })
  await readAll(url, { lastEventId: (error as SSEError).lastEventId, reconnect: false })
  t.equal(requests[2]?.headers['last-event-id'], '1')
})

test('`shouldRetry` can refresh a token after a 401 and retry', async (t) => {
  let token = 'old'
  const app = await makeApp(t)
  app.sseRoute('/', {
    preHandler: async ({ headers }, reply) => { if (headers.authorization !== 'new') return reply.code(401).send({ message: 'expired' }) },
    source: () => ['"fine"']
  })
  const url = `http://127.0.0.1:${await listen(app)}/`
  const asked: unknown[] = []
  const { events, error } = await readAll(url, {
    end: '"fine"',
    headers: () => ({ authorization: token }),
    shouldRetry: async ({ code, status, body }, attempt) => {
      asked.push([code, status, body, attempt])
      await new Promise(setImmediate)
      if (status === 401) token = 'new'
      return status === 401
    }
  })
  t.strictSame([events, error], [[], undefined])
  t.strictSame(asked, [['SSE_ERR_NO_STREAM', 401, '{"message":"expired"}', 1]])
})

test('`shouldRetry` decides on failures of any request, including a POST and a 403', async (t) => {
  const { url, requests } = await serve(t, says(403), says(503), ends('data: 1\n\n'))
  t.match(await readAll(url, { method: 'POST', body: 'x', shouldRetry: () => true }), { events: [['message', 1]], error: undefined })
  t.equal(requests.length, 3, 'a response that ends normally is not retried')
})

test('when `shouldRetry` returns undefined, the default decision applies', async (t) => {
  const { url, requests } = await serve(t, says(503), says(404), says(204))
  const asked: unknown[] = []
  t.match(await readAll(url, { shouldRetry: ({ status }) => { asked.push(status) } }), { error: { status: 404 } })
  t.strictSame([asked, requests.length], [[503, 404], 2])
})

test('an error thrown by `shouldRetry` ends the loop', async (t) => {
  const { url, requests } = await serve(t, says(503))
  t.match(await readAll(url, { shouldRetry: () => { throw new Error('mine') } }), { error: { message: 'mine' } })
  t.match(await readAll(url, { shouldRetry: async () => { throw new Error('mine') } }), { error: { message: 'mine' } })
  t.equal(requests.length, 2)
})

test('a loop that is left while `shouldRetry` is pending makes no further request', async (t) => {
  const { url, requests } = await serve(t, says(503))
  let decide = (_retried: boolean) => {}
  let asked = false
  const events = sse(url, {
    shouldRetry: () => {
      asked = true
      return new Promise<boolean>((resolve) => { decide = resolve })
    },
    onRetry: () => { t.fail('onRetry was called after the loop was left') }
  })
  const next = events.next()
  await until('the call of shouldRetry', () => asked)
  const left = events.return?.()
  decide(true)
  t.match([await next, await left], [{ done: true }, { done: true }])
  t.equal(requests.length, 1)
})

test('the option `fetch` replaces the global fetch', async (t) => {
  const { url } = await serve(t, ends('data: 1\n\n'))
  const asked: unknown[] = []
  const own = function (this: unknown, input: string | URL, init: RequestInit) {
    asked.push([this, input, init.method, new Headers(init.headers).get('accept')])
    return fetch(new URL(input, url), init)
  }
  t.match(await readAll('/relative', { reconnect: false, fetch: own }), { events: [['message', 1]], error: undefined })
  t.strictSame(asked, [[undefined, '/relative', 'GET', 'text/event-stream']], 'fetch is called as a function, with the url as it was given')
})
