// Symptom: the client reconnects for ever and yields nothing.
// Cause: errors that no retry can fix, such as an invalid url or a fetch without a readable body, counted as connection failures.
import { createServer } from 'node:http'
import { test } from 'tap'
import { sse, type SSEClientOptions, SSEError } from '../../lib/client/index.js'
import { type Answer, dies, ends, says, serve } from '../client/server.js'
import { makeApp } from '../helpers/app.js'

/** Returns the error that ends a client. Fails after five retries. */
async function failure (url: string | URL, options: SSEClientOptions = {}): Promise<unknown> {
  let retries = 0
  const events = sse(url, { retry: { delay: 1 }, onRetry: () => { if (++retries === 5) throw new Error('it goes on for ever') }, ...options })
  return events.next().then(({ done }) => done ? 'done' : 'an event', (error: unknown) => error)
}

/** Wraps fetch and replaces the body of its responses, as some engines and packages do. */
const withBody = (body: unknown) => async (url: string | URL, init: RequestInit): Promise<Response> => {
  const { status, headers } = await fetch(url, init)
  return Object.assign(Object.create({ status, headers }), { body })
}

test('a fetch whose responses have no readable body fails at the first response, with an error that says so', async (t) => {
  const stream = ends('data: 1\n\n')
  const page: Answer = says(200, '<html>', { 'content-type': 'text/html' })
  for (const body of [undefined, null, { pipe () {} }, 'data: 1\n\n']) {
    const { url, requests } = await serve(t, stream, page, says(404))
    const error = await failure(url, { fetch: withBody(body) })
    t.ok(error instanceof SSEError)
    t.match(error, { code: 'SSE_ERR_NO_STREAM', status: 200, message: /no readable body.*"fetch"/ })
    t.equal((error as SSEError).body, undefined)
    t.match(await failure(url, { fetch: withBody(body) }), { code: 'SSE_ERR_NO_STREAM', status: 200, message: /content-type text\/html/ })
    t.match(await failure(url, { fetch: withBody(body) }), { code: 'SSE_ERR_NO_STREAM', status: 404 })
    t.equal(requests.length, 3)
  }
})

test('with a fetch whose responses have no readable body, 204 ends the loop and 503 is retried', async (t) => {
  const { url, requests } = await serve(t, says(503), says(204))
  t.equal(await failure(url, { fetch: withBody(undefined) }), 'done')
  t.equal(requests.length, 2)
})

test('a fetch that does not resolve to a Response fails with an error that says so', async (t) => {
  for (const given of [undefined, null, 'data: 1', { status: 200 }]) {
    let calls = 0
    const own = async () => {
      calls++
      return given as unknown as Response
    }
    const error = await failure('http://127.0.0.1', { fetch: own })
    t.ok(error instanceof SSEError)
    t.match(error, { code: 'SSE_ERR_OPTION', message: /^The option "fetch" takes a function that resolves to a Response, got / })
    t.equal(calls, 1)
  }
})

test('sse() throws for a request that can never succeed', (t) => {
  const url = 'http://127.0.0.1:3000/'
  const refused: Array<[message: RegExp, url: string | URL, options?: object]> = [
    [/^The request is not valid: .*relative/i, '/relative'],
    [/^The request is not valid: .*/, 'http://'],
    [/^The request is not valid: .*/, ''],
    [/^The request is not valid: .*credentials/, 'http://ann:secret@127.0.0.1/'],
    [/^The request is not valid: .*localhost:3000/, 'localhost:3000/events'],
    [/^The request is not valid: .*ftp:/, new URL('ftp://127.0.0.1/')],
    [/^The request is not valid: .*GET\/HEAD.*body/, url, { body: '{}' }],
    [/^The request is not valid: .*GET\/HEAD.*body/, url, { method: 'HEAD', body: '' }],
    [/^The request is not valid: .*TRACE/, url, { method: 'TRACE' }],
    [/^The request is not valid: .*a b/, url, { method: 'a b' }],
    [/^The request is not valid: .*header/i, url, { headers: { 'a b': 'c' } }],
    [/^The request is not valid: .*header/i, url, { headers: { a: 'b\nc' } }],
    [/^The request is not valid: ./, url, { headers: { a: '€' } }],
    [/^The request is not valid: ./, url, { credentials: 'sometimes' }],
    [/^The option "body" takes no stream if/, url, { method: 'POST', reconnect: true, body: new Blob(['x']).stream() }],
    [/^The option "body" takes no stream if/, url, { method: 'POST', shouldRetry: () => true, body: new Blob(['x']).stream() }],
    [/^The option "fetch" takes a function, got object$/, url, { fetch: {} }],
    [/^The option "fetch" takes a function, got object$/, url, { fetch: null }]
  ]
  for (const [message, url, options] of refused) {
    const error = errorOf(() => sse(url, options))
    t.ok(error instanceof SSEError, `${url} ${Object.keys(options ?? {})}`)
    t.match(error, { code: 'SSE_ERR_OPTION', message, lastEventId: null })
  }
  t.end()
})

function errorOf (call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

test('sse() throws in a runtime without fetch', (t) => {
  const { fetch } = globalThis
  t.teardown(() => { globalThis.fetch = fetch })
  Reflect.deleteProperty(globalThis, 'fetch')
  t.match(errorOf(() => sse('http://127.0.0.1/')), { code: 'SSE_ERR_OPTION', message: 'The option "fetch" takes a function, got undefined' })
  t.end()
})

test('with a custom fetch, the url and the body are not checked, but method and headers are', async (t) => {
  const { url, requests } = await serve(t, says(204))
  const own = (input: string | URL, init: RequestInit) => fetch(new URL(String(input).replace('app:', 'http:'), url), Object.assign(init, { duplex: 'half' }))
  t.equal(await failure('/relative?a=b', { fetch: own }), 'done')
  t.equal(await failure(url.replace('http:', 'app:'), { fetch: own }), 'done')
  t.equal(await failure(url, { fetch: own, method: 'POST', body: new Blob(['streamed']).stream() }), 'done')
  t.strictSame(requests.map(({ method, url }) => `${method} ${url}`), ['GET /relative?a=b', 'GET /', 'POST /'])
  t.throws(() => sse('/', { fetch: own, headers: { 'a b': 'c' } }), { code: 'SSE_ERR_OPTION' })
  t.throws(() => sse('/', { fetch: own, body: 'x' }), { code: 'SSE_ERR_OPTION', message: /GET\/HEAD.*body/ })
})

test('`shouldRetry` can end the loop for errors that are retried by default', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => { server.close(resolve) })
  const asked: unknown[] = []
  const shouldRetry: SSEClientOptions['shouldRetry'] = ({ code, status }, attempt) => {
    asked.push([code, status, attempt])
    return attempt < 2
  }
  const { url } = await serve(t, dies, says(503))
  t.match(await failure(url, { shouldRetry }), { code: 'SSE_ERR_NO_STREAM', status: 503 })
  t.strictSame(asked, [['SSE_ERR_CONNECTION', undefined, 1], ['SSE_ERR_NO_STREAM', 503, 2]])
  t.match(await failure(url, { shouldRetry: async () => false }), { code: 'SSE_ERR_NO_STREAM', status: 503 })
})

test('`maxRetries` overrides `shouldRetry`, which is not called after the last retry', async (t) => {
  const { url, requests } = await serve(t, says(401))
  let asked = 0
  t.match(await failure(url, { retry: { delay: 1, maxRetries: 2 }, shouldRetry: () => ++asked > 0 }), { status: 401 })
  t.strictSame([requests.length, asked], [3, 2])
})

test('the client can read from an app that does not listen, through a fetch that calls app.inject()', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => [{ data: 1 }, { data: 2 }] })
  const own = async (url: string | URL) => {
    const { statusCode, headers, body } = await app.inject(String(url))
    return new Response(body, { status: statusCode, headers: { 'content-type': String(headers['content-type']) } })
  }
  const data: unknown[] = []
  for await (const event of sse('/', { fetch: own, reconnect: false })) data.push(event.data)
  t.strictSame(data, [1, 2])
})
