import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('comments, retry and id lines of a stream are in its `raw`, besides its events', async (t) => {
  const app = await makeApp(t, { retry: 3_000 })
  app.sseRoute('/', { source: () => [{ id: 7, comments: 'a note', data: 'ü€𝄞' }, { data: 'b' }] })
  const stream = await injectSSE(app, '/')
  t.equal(stream.raw, '', 'nothing is read yet')
  t.strictSame(await stream.next(), { id: '7', event: 'message', data: 'ü€𝄞' })
  for await (const { data } of stream) t.equal(data, 'b')
  t.match(stream.raw, /^retry: 3000\n/)
  t.match(stream.raw, /^: a note$/m)
  t.match(stream.raw, /^id: 7$/m)
  t.equal(stream.raw, (await app.inject('/')).body)
})

test('`read` waits for more text, be it a comment only; events in it are still to come', async (t) => {
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

test('`read` resolves to undefined at the end, and rejects after the timeout', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/ends', { source: () => ['a'] })
  app.sseRoute('/waits', { onConnect: () => {} })
  const ends = await injectSSE(app, '/ends')
  // in one part or in several
  while (ends.raw !== ':\ndata: a\n\n') t.type(await ends.read(), 'string')
  t.strictSame([await ends.read(), await ends.read()], [undefined, undefined])
  const waits = await injectSSE(app, { url: '/waits', timeout: 20 })
  t.equal(await waits.read(), ':\n')
  await t.rejects(waits.read(), { code: 'SSE_ERR_TIMEOUT', message: 'Text did not come within 20 ms' })
})

test('calls at the same time share what comes', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const stream = await injectSSE(app, '/')
  const [first, text, second] = [stream.next(), stream.read(), stream.next()]
  await app.sse.publish('a', 'x')
  await app.sse.publish('a', 'y')
  t.match([await first, await second], [{ data: 'x' }, { data: 'y' }])
  t.type(await text, 'string')
})

test('after `close` every read resolves to undefined', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onConnect: (_request, stream) => stream.send('a') })
  const stream = await injectSSE(app, '/')
  await stream.next()
  const waiting = stream.next()
  stream.close()
  stream.close()
  t.strictSame([await waiting, await stream.next(), await stream.read()], [undefined, undefined, undefined])
  for await (const event of stream) t.fail(event.data)
  await until('the app knows', () => app.sse.stats().closed.client === 1)
})
