import cookie from '@fastify/cookie'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'

test('injectSSE takes a path', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => ['a'] })
  const stream = await injectSSE(app, '/')
  t.match([stream.statusCode, await stream.next(), await stream.next()], [200, { data: 'a' }, undefined])
  await t.rejects(injectSSE(app, '/none'), { code: 'SSE_ERR_NO_STREAM', statusCode: 404 })
})

test('injectSSE takes what app.inject takes', async (t) => {
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

test('a timeout names the path that was asked for', async (t) => {
  const app = await makeApp(t)
  app.get('/silent', () => {})
  for (const given of [{ url: '/silent' }, { path: '/silent' }, { url: { pathname: '/silent' } }, { path: { pathname: '/silent' } }]) {
    await t.rejects(injectSSE(app, { ...given, timeout: 20 }), { code: 'SSE_ERR_TIMEOUT', message: 'An answer from /silent did not come within 20 ms' })
  }
})

test('a signal leaves the stream', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onConnect: (_request, stream) => stream.send('a') })
  const leave = new AbortController()
  const stream = await injectSSE(app, { url: '/', signal: leave.signal })
  await stream.next()
  const next = stream.next()
  leave.abort()
  await t.rejects(next, { name: 'AbortError' })
})
