// Symptom: a proxied event stream arrives as data that begins with "data: ".
// Cause: the body of a Response was read as text, and each chunk was framed as the data of an event.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { type Test, test } from 'tap'
import { fetch as undiciFetch } from 'undici'
import type { SSEPluginOptions, SSERouteOptions } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

/** Starts an upstream server. Returns its URL and its responses that were aborted before their end. */
async function makeUpstream (t: Test, answer: (response: ServerResponse) => void) {
  const aborted: unknown[] = []
  const server = createServer((_request, response) => {
    response.on('close', () => { if (!response.writableFinished) aborted.push(response) })
    answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, aborted }
}

/** Starts an upstream server with a complete response. */
function upstreamOf (t: Test, body: string, headers: Record<string, string> = { 'content-type': 'text/event-stream' }, status = 200) {
  return makeUpstream(t, (response) => response.writeHead(status, headers).end(body))
}

/** Creates an app and records the errors passed to its `onError`. */
async function makeGateway (t: Test, options: SSEPluginOptions = {}) {
  const errors: Error[] = []
  const app = await makeApp(t, options, { forceCloseConnections: true })
  return { app, errors, onError: (error: Error) => { errors.push(error) } }
}

const EVENTS = 'retry: 5000\n\nid: 7\nevent: price\ndata: {"a":1}\n\n: note\ndata: one\ndata: two\n\nid: 8\n\ndata: [DONE]\n\n'
const PASSED_ON = 'retry: 5000\n\nid: 7\nevent: price\ndata: {"a":1}\n\ndata: one\ndata: two\n\nid: 8\n\ndata: [DONE]\n\n'

test('a Response of fetch is forwarded event by event, in every place that takes a source', async (t) => {
  const { url } = await makeUpstream(t, async (response) => {
    response.writeHead(200, { 'content-type': 'Text/Event-Stream; charset=utf-8' })
    // splits lines and line breaks
    for (const byte of Buffer.from(EVENTS.replace('7\n', '7\r\n'))) {
      response.write(Buffer.of(byte))
      if (byte === 10) await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  })
  const { app } = await makeGateway(t)
  app.sseRoute('/source', { source: () => fetch(url) })
  app.sseRoute('/generic', { source: async () => await fetch(url) as Awaited<ReturnType<typeof undiciFetch>> | Response })
  app.sseRoute('/undici', { source: () => undiciFetch(url) })
  app.sseRoute('/first', { openOn: 'first-event', source: () => fetch(url) })
  app.sseRoute('/data', { items: 'data', source: () => fetch(url) })
  app.get('/reply', async (_request, reply) => reply.sse(await fetch(url)))
  app.get('/promise', (_request, reply) => reply.sse(fetch(url)))
  app.get('/function', (_request, reply) => reply.sse(({ signal }) => fetch(url, { signal })))
  app.get('/items', (_request, reply) => reply.sse(fetch(url), { items: 'data' }))
  for (const path of ['/source', '/generic', '/undici', '/first', '/data', '/reply', '/promise', '/function', '/items']) {
    t.equal((await app.inject(path)).body, PASSED_ON, path)
  }
})

test('a response of another library is forwarded if it has the members of a Response', async (t) => {
  const { app } = await makeGateway(t)
  const headers = new Headers({ 'content-type': 'text/event-stream' })
  app.sseRoute('/', { source: () => ({ status: 200, headers, bodyUsed: false, body: Readable.from([Buffer.from('data: a\n\nda'), 'ta: b\n\n']) }) })
  t.equal((await app.inject('/')).body, 'data: a\n\ndata: b\n\n')
})

test('`end` is sent after the last event of a Response', async (t) => {
  const { url } = await upstreamOf(t, 'data: a\n\ndata: not complete')
  const { app } = await makeGateway(t)
  app.sseRoute('/', { source: () => fetch(url), end: '[DONE]' })
  t.equal((await app.inject('/')).body, 'data: a\n\ndata: [DONE]\n\n')
})

test('the ids of a Response are dropped on a stream with topics, because its ids are those of the log', async (t) => {
  const { url } = await upstreamOf(t, EVENTS)
  const { app } = await makeGateway(t)
  app.sseRoute('/', { topics: ['a'], source: () => fetch(url) })
  const { body } = await app.inject('/')
  t.equal(body.replace(/^id: \d+-\d+\n\n/, ''), PASSED_ON.replace('id: 7\n', '').replace('id: 8\n\n', ''))
})

test('on a route with `events`, the data of a Response is not changed and its event names are checked', async (t) => {
  const { url } = await upstreamOf(t, EVENTS)
  const { app, errors, onError } = await makeGateway(t)
  const price = { type: 'object', properties: { b: { type: 'number' } } }
  app.sseRoute('/', { events: { price, message: {} }, source: () => fetch(url) })
  app.sseRoute('/undeclared', { events: { price }, source: () => fetch(url), onError })
  t.equal((await app.inject('/')).body, PASSED_ON)
  const client = await open(t, await listen(app), '/undeclared')
  t.notOk(await client.finished())
  t.match(errors, [{ code: 'SSE_ERR_UNKNOWN_EVENT' }])
})

test('the body of a Response is cancelled when the client disconnects', async (t) => {
  const { url, aborted } = await makeUpstream(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: hello\n\n')
  })
  const { app, errors, onError } = await makeGateway(t)
  app.sseRoute('/', { source: () => fetch(url), onError })
  app.get('/reply', async (_request, reply) => reply.sse(await fetch(url), { onError }))
  const port = await listen(app)
  for (const [index, path] of ['/', '/reply'].entries()) {
    const client = await open(t, port, path)
    await client.until('hello')
    client.disconnect()
    await until('the upstream server to notice', () => aborted.length === index + 1)
  }
  t.strictSame(errors, [])
})

test('a Response that is aborted aborts its stream', async (t) => {
  const { url } = await makeUpstream(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: hello\n\n', () => response.destroy())
  })
  const { app, errors, onError } = await makeGateway(t)
  app.sseRoute('/', { source: () => fetch(url), onError })
  const client = await open(t, await listen(app), '/')
  t.notOk(await client.finished())
  t.equal(client.text, 'data: hello\n\n')
  t.equal(errors.length, 1)
})

test('a Response with a status other than 2xx', async (t) => {
  for (const [status, answered] of [[404, 404], [429, 429], [503, 503], [304, 502]] as const) {
    t.test(`a Response with status ${status} is answered with status ${answered} if the stream is not open`, async (t) => {
      const { url, aborted } = await upstreamOf(t, status === 304 ? '' : 'data: no\n\n', undefined, status)
      const { app, errors, onError } = await makeGateway(t)
      app.sseRoute('/', { openOn: 'first-event', source: () => fetch(url), onError })
      app.get('/reply', async (_request, reply) => reply.sse(await fetch(url), { onError }))
      const expected = { statusCode: answered, code: 'SSE_ERR_UPSTREAM', message: `The server whose event stream is passed on answered with status ${status}` }
      for (const path of ['/', '/reply']) {
        const response = await app.inject(path)
        t.equal(response.statusCode, answered)
        t.match(response.json(), expected, path)
      }
      t.strictSame([errors, aborted], [[], []])
    })
  }

  t.test('a Response with status 401 calls onError and aborts the stream if the stream is open', async (t) => {
    const { url } = await upstreamOf(t, '', undefined, 401)
    const { app, errors, onError } = await makeGateway(t)
    app.sseRoute('/', { source: () => fetch(url), onError })
    const client = await open(t, await listen(app), '/')
    t.notOk(await client.finished())
    t.match(errors, [{ code: 'SSE_ERR_UPSTREAM', statusCode: 401 }])
  })
})

test('a Response that is not an event stream is refused, and its body is cancelled', async (t) => {
  const endless = await makeUpstream(t, (response) => { response.writeHead(200, { 'content-type': 'application/json' }).write('{') })
  const { app } = await makeGateway(t)
  app.sseRoute('/json', { openOn: 'first-event', source: () => fetch(endless.url) })
  app.sseRoute('/typeless', { openOn: 'first-event', source: () => new Response(new Uint8Array(1)) })
  app.sseRoute('/204', { openOn: 'first-event', source: () => new Response(null, { status: 204 }) })
  app.sseRoute('/read', {
    openOn: 'first-event',
    source: async () => {
      const response = new Response('data: a\n\n', { headers: { 'content-type': 'text/event-stream' } })
      await response.text()
      return response
    }
  })
  app.sseRoute('/empty', { openOn: 'first-event', source: () => new Response(null, { headers: { 'content-type': 'text/event-stream' } }) })
  const expected = {
    '/json': 'a Response with content-type "application/json"',
    '/typeless': 'a Response with content-type null',
    '/204': 'a Response with content-type null',
    '/read': 'a Response whose body was read already'
  }
  for (const [path, got] of Object.entries(expected)) {
    t.match((await app.inject(path)).json(), { statusCode: 500, code: 'SSE_ERR_SOURCE', message: new RegExp(`, got ${got}$`) }, path)
  }
  await until('the upstream server to notice', () => endless.aborted.length === 1)
  t.match(await app.inject('/empty'), { statusCode: 200, body: '' }, 'a Response without a body has no events')
})

test('bytes that are not a Response are sent as text', async (t) => {
  const { app } = await makeGateway(t)
  const bytes = () => new Response('a€b').body as ReadableStream<Uint8Array>
  const routes: Record<string, SSERouteOptions['source']> = { '/': bytes }
  for (const [url, source] of Object.entries(routes)) app.sseRoute({ url, source })
  t.equal((await app.inject('/')).body, 'data: a€b\n\n')
})
