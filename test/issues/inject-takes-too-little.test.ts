// Symptom: a test with injectSSE cannot set cookies, a query or a remote address.
// Cause: injectSSE accepted fewer options than app.inject.
import cookie from '@fastify/cookie'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'

test('injectSSE accepts a path', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => ['a'] })
  const stream = await injectSSE(app, '/')
  t.match([stream.statusCode, await stream.next(), await stream.next()], [200, { data: 'a' }, undefined])
  await t.rejects(injectSSE(app, '/none'), { code: 'SSE_ERR_NO_STREAM', statusCode: 404 })
})

test('injectSSE accepts all options of app.inject', async (t) => {
  const app = await makeApp(t)
  await app.register(cookie)
  app.sseRoute({
    url: '/',
    method: ['GET', 'POST'],
    source: ({ query, cookies, ip, hostname, headers, body }) => [{ data: { query, cookies, ip, hostname, accept: headers.accept, body } }]
  })
  const stream = await injectSSE(app, {
    url: '/',
    method: 'POST',
    query: { a: '1', b: ['2', '3'] },
    cookies: { session: 'x' },
    remoteAddress: '10.0.0.7',
    authority: 'example.com',
    headers: { accept: 'text/event-stream' },
    body: { prompt: 'hi' }
  })
  t.strictSame(JSON.parse((await stream.next())?.data ?? ''), {
    query: { a: '1', b: ['2', '3'] }, cookies: { session: 'x' }, ip: '10.0.0.7', hostname: 'example.com', accept: 'text/event-stream', body: { prompt: 'hi' }
  })
  const parts = await injectSSE(app, { path: { pathname: '/', query: { a: '1' } } })
  t.match(JSON.parse((await parts.next())?.data ?? ''), { query: { a: '1' } })
})

test('the timeout error of injectSSE names the requested path', async (t) => {
  const app = await makeApp(t)
  app.get('/silent', () => {})
  for (const given of [{ url: '/silent' }, { path: '/silent' }, { url: { pathname: '/silent' } }, { path: { pathname: '/silent' } }]) {
    await t.rejects(injectSSE(app, { ...given, timeout: 20 }), { code: 'SSE_ERR_TIMEOUT', message: 'An answer from /silent did not come within 20 ms' })
  }
})

test('injectSSE disconnects when its signal is aborted', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onConnect: (_request, stream) => stream.send('a') })
  const leave = new AbortController()
  const stream = await injectSSE(app, { url: '/', signal: leave.signal })
  await stream.next()
  const next = stream.next()
  leave.abort()
  await t.rejects(next, { name: 'AbortError' })
})

test('injectSSE omits headers without a value', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: ({ headers }) => [{ data: Object.keys(headers).sort() }] })
  const given = { 'last-event-id': undefined, 'x-given': 'yes' }
  await t.rejects(async () => app.inject({ url: '/', headers: given }), { code: 'ERR_ASSERTION' }, 'app.inject does not')
  const stream = await injectSSE(app, { url: '/', headers: given })
  t.strictSame(JSON.parse((await stream.next())?.data ?? ''), ['host', 'user-agent', 'x-given'])
})
