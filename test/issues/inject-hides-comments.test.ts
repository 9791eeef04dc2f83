// Symptom: a test cannot see comments, retry fields and ids without an event.
// Cause: injectSSE returned only parsed events.
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('comments, retry and id lines of a stream are in `raw` of an injected stream', async (t) => {
  const app = await makeApp(t, { retry: 3_000 })
  app.sseRoute('/', { source: () => [{ id: 7, comments: 'a note', data: 'ü€𝄞' }, { data: 'b' }] })
  const stream = await injectSSE(app, '/')
  t.equal(stream.raw, '', 'nothing was read yet')
  t.strictSame(await stream.next(), { id: '7', event: 'message', data: 'ü€𝄞' })
  for await (const { data } of stream) t.equal(data, 'b')
  t.match(stream.raw, /^retry: 3000\n/)
  t.match(stream.raw, /^: a note$/m)
  t.match(stream.raw, /^id: 7$/m)
  t.equal(stream.raw, (await app.inject('/')).body)
})

test('`read` of an injected stream waits for more text, also a comment, and does not consume events', async (t) => {
  const app = await makeApp(t, { heartbeat: 20 })
  app.sseRoute('/', { onConnect: (_request, stream) => stream.send('a') })
  const stream = await injectSSE(app, '/')
  while (!/\n:/m.test(stream.raw) && await stream.read() !== undefined);
  t.match(stream.raw, /^:\ndata: a\n\n:\n/)
  t.match(await stream.next(), { data: 'a' })
  const before = stream.raw
  const text = await stream.read()
  t.equal(stream.raw, `${before}${text}`)
})

test('`read` of an injected stream resolves to undefined at the end and rejects after the timeout', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/ends', { source: () => ['a'] })
  app.sseRoute('/waits', { onConnect: () => {} })
  const ends = await injectSSE(app, '/ends')
  // the text arrives in one part or in several
  while (ends.raw !== ':\ndata: a\n\n') t.type(await ends.read(), 'string')
  t.strictSame([await ends.read(), await ends.read()], [undefined, undefined])
  const waits = await injectSSE(app, { url: '/waits', timeout: 20 })
  t.equal(await waits.read(), ':\n')
  await t.rejects(waits.read(), { code: 'SSE_ERR_TIMEOUT', message: 'Text did not come within 20 ms' })
})

test('concurrent calls of `next` and `read` each resolve', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const stream = await injectSSE(app, '/')
  const [first, text, second] = [stream.next(), stream.read(), stream.next()]
  await app.sse.publish('a', 'x')
  await app.sse.publish('a', 'y')
  t.match([await first, await second], [{ data: 'x' }, { data: 'y' }])
  t.type(await text, 'string')
})

test('`next` and `read` resolve to undefined after `close`', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onConnect: (_request, stream) => stream.send('a') })
  const stream = await injectSSE(app, '/')
  await stream.next()
  const waiting = stream.next()
  stream.close()
  stream.close()
  t.strictSame([await waiting, await stream.next(), await stream.read()], [undefined, undefined, undefined])
  for await (const event of stream) t.fail(event.data)
  await until('the app to notice', () => app.sse.stats().closed.client === 1)
})
