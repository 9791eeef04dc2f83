import { test } from 'tap'
import { injectSSE } from '../lib/testing.js'
import { makeApp } from './helpers/app.js'

const NOTHING = {
  active: 0,
  opened: 0,
  rejected: 0,
  resumed: 0,
  sent: 0,
  dropped: 0,
  replayed: 0,
  skipped: 0,
  gaps: 0,
  bytes: 0,
  closed: { client: 0, server: 0, drain: 0, overflow: 0, stalled: 0, expired: 0, idle: 0, lifetime: 0, error: 0 },
  runs: { open: 0, readers: 0, done: 0, failed: 0, stopped: 0 }
}

test('a stream that does not open is not counted in stats()', async (t) => {
  const app = await makeApp(t, { retry: 1 })
  t.strictSame(app.sse.stats(), NOTHING)
  const refuse = async () => { throw new Error('x') }
  app.sseRoute('/head', { topics: ['news'] })
  app.sseRoute('/topics', { topics: refuse })
  app.sseRoute('/hook', { topics: ['news'], onSend: refuse })
  app.sseRoute('/first', { topics: ['news'], openOn: 'first-event', source: refuse })
  app.get('/reply', { onSend: refuse }, (_request, reply) => { reply.sse().subscribe('news') })
  const headers = { 'last-event-id': '1-0' }
  await app.sse.publish('news', 'x')
  t.equal((await app.inject({ method: 'HEAD', url: '/head', headers })).statusCode, 200)
  t.equal((await app.inject({ url: '/head', headers: { ...headers, accept: 'text/html' } })).statusCode, 406)
  for (const url of ['/topics', '/hook', '/first', '/reply']) t.equal((await app.inject({ url, headers })).statusCode, 500, url)
  t.strictSame(app.sse.stats(), NOTHING)
})

test('stats() returns the sum of all routes as a snapshot', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/a', { source: () => ['x', 'y'] })
  app.sseRoute('/b', { onConnect: (_request, stream) => stream.send('z') })
  await app.inject('/a')
  const stream = await injectSSE(app, { url: '/b' })
  await stream.next()
  const stats = app.sse.stats()
  const event = 'data: x\n\n'.length
  // the first byte of a stream through `inject`
  const bytes = ':\n'.length + 3 * event
  const expected = { ...NOTHING, active: 1, opened: 2, sent: 3, bytes, closed: { ...NOTHING.closed, server: 1 } }
  t.strictSame(stats, expected)
  await app.inject('/a')
  t.strictSame(stats, expected, 'the snapshot does not change')
  t.strictSame(app.sse.stats(), { ...expected, opened: 3, sent: 5, bytes: bytes + 2 * event, closed: { ...expected.closed, server: 2 } })
})
