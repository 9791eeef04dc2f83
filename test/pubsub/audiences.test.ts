import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'
import { follow, publishAll, takeData } from '../helpers/subscriber.js'

test('an event for several topics is sent once to each stream that follows at least one of them', async (t) => {
  const app = await makeApp(t)
  for (const [path, topics] of [['/a', ['a']], ['/ab', ['a', 'b']], ['/bc', ['b', 'c']], ['/d', ['d']]] as const) app.sseRoute(path, { topics })
  const streams = [await follow(app, '/a'), await follow(app, '/ab'), await follow(app, '/bc'), await follow(app, '/d')]
  const first = await app.sse.publish(['a', 'b', 'c', 'a'], 'several')
  await app.sse.broadcast('all')
  for (const [index, stream] of streams.entries()) t.strictSame(await takeData(stream, index === 3 ? 1 : 2), index === 3 ? ['all'] : ['several', 'all'])
  const replayed = await follow(app, '/ab', (await publishAll(app, 'x', '')).at(-1))
  await app.sse.publish(['b', 'a'], 'once')
  t.strictSame(await takeData(replayed, 1), ['once'])
  t.strictSame(await takeData(await follow(app, '/bc', first), 2), ['all', 'once'], 'also in a replay')
})

test('an event is not sent to the client id in except, live and in a replay', async (t) => {
  const app = await makeApp(t, { clientId: (request) => String(request.headers.user) })
  app.sseRoute('/', { topics: ['room', 'other'] })
  const as = (user: string, id?: string) => injectSSE(app, { url: '/', headers: { user, ...id !== undefined && { 'last-event-id': id } } })
  const [ann, bob] = [await as('ann'), await as('bob')]
  const start = app.sse.lastEventId
  await app.sse.publish('room', 'of ann', { except: 'ann' })
  await app.sse.publish(['room', 'other'], 'of bob', { except: 'bob' })
  await app.sse.publish('room', 'to all', {})
  for (const stream of [ann, await as('ann', start)]) t.strictSame(await takeData(stream, 2), ['of bob', 'to all'])
  for (const stream of [bob, await as('bob', start)]) t.strictSame(await takeData(stream, 2), ['of ann', 'to all'])
})

test('wrong topics and options of publish are refused', async (t) => {
  const { sse } = await makeApp(t)
  await t.rejects(sse.publish([], 'x'), { code: 'SSE_ERR_TOPIC', message: /an array without topics/ })
  await t.rejects(sse.publish(['a', ''], 'x'), { code: 'SSE_ERR_TOPIC' })
  await t.rejects(sse.publish('a', 'x', { except: '' }), { code: 'SSE_ERR_CLIENT_ID' })
  await t.rejects(sse.publish('a', 'x', { exept: 'me' } as object), { code: 'SSE_ERR_OPTION', message: /one with "exept"/ })
  await t.rejects(sse.publish('a', 'x', null as never), { code: 'SSE_ERR_OPTION' })
})

test('lastEventId is the place of the log at which a page continues', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  await publishAll(app, 'a', 'rendered')
  const page = app.sse.lastEventId
  await publishAll(app, 'a', 'later')
  const stream = await injectSSE(app, { url: `/?lastEventId=${page}` })
  t.strictSame(await takeData(stream, 1), ['later'])
  t.match(app.sse.stats(), { gaps: 0 })
})

test('close ends the streams of a client id after the events before it, and is never replayed', async (t) => {
  const app = await makeApp(t, { clientId: (request) => String(request.headers.user) })
  app.sseRoute('/', { topics: ['a'] })
  const as = (user: string, id?: string) => injectSSE(app, { url: '/', headers: { user, ...id !== undefined && { 'last-event-id': id } } })
  const start = app.sse.lastEventId
  const [one, two, bob] = [await as('ann'), await as('ann'), await as('bob')]
  await publishAll(app, 'a', 'before')
  await app.sse.close('ann')
  await publishAll(app, 'a', 'after')
  for (const stream of [one, two]) {
    t.strictSame(await takeData(stream, 1), ['before'])
    t.equal(await stream.next(), undefined, 'the end')
  }
  t.strictSame(await takeData(bob, 2), ['before', 'after'])
  t.strictSame(await takeData(await as('ann', start), 2), ['before', 'after'])
  t.match(app.sse.stats(), { closed: { server: 2 }, gaps: 0 })
  await t.rejects(app.sse.close(''), { code: 'SSE_ERR_CLIENT_ID' })
})

test('close ends a stream by its id, and a stream whose response is not open yet', async (t) => {
  const app = await makeApp(t, { clientId: (request) => String(request.headers.user) })
  app.sseRoute('/', { openOn: 'first-event', source: async function * (_request, { signal }) { await new Promise((resolve) => signal.addEventListener('abort', resolve)) } })
  const waiting = injectSSE(app, { url: '/', headers: { user: 'ann' } })
  await until('the request', async () => {
    await app.sse.close('ann')
    return Promise.race([waiting.then(() => true), new Promise((resolve) => setTimeout(resolve, 5, false))])
  })
  t.equal(await (await waiting).next(), undefined, 'the stream ends without an event')
  const own = await makeApp(t)
  own.sseRoute('/', { topics: [] })
  const stream = await follow(own, '/')
  for (const id of own.sse.streams.keys()) await own.sse.close(id)
  t.equal(await stream.next(), undefined)
})

test('unsubscribe removes a topic from the streams of a client id', async (t) => {
  const app = await makeApp(t, { clientId: (request) => String(request.headers.user) })
  app.sseRoute('/', { topics: ['a', 'b'] })
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => injectSSE(app, { url: '/', headers: { user } })))
  await publishAll(app, 'a', 'before')
  await app.sse.unsubscribe('ann', 'a')
  await publishAll(app, 'a', 'secret')
  await publishAll(app, 'b', 'last')
  t.strictSame(ann && await takeData(ann, 2), ['before', 'last'])
  t.strictSame(bob && await takeData(bob, 3), ['before', 'secret', 'last'])
  const topics = Array.from(app.sse.streams.values(), (stream) => [stream.clientId, ...stream.topics].join())
  t.strictSame(topics.sort(), ['ann,b', 'bob,a,b'])
  await t.rejects(app.sse.unsubscribe('ann', ''), { code: 'SSE_ERR_TOPIC' })
})

test('after app.close() close and unsubscribe reject', async (t) => {
  const app = await makeApp(t)
  await app.close()
  await t.rejects(app.sse.close('ann'), { code: 'SSE_ERR_CLOSING' })
  await t.rejects(app.sse.unsubscribe('ann', 'a'), { code: 'SSE_ERR_CLOSING' })
})
