// Faults found in other libraries that publish to many clients. Each test shows that this plugin does not have the fault.
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'

test('sse-channel', async (t) => {
  t.test('sse-channel: ids are compared as numbers, so that …10 follows …9', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'] })
    const { now } = Date
    t.teardown(() => { Date.now = now })
    const later = now() + 1_000
    Date.now = () => later
    const ids: string[] = []
    while (!ids.at(-1)?.endsWith('9')) ids.push(await app.sse.publish('a', 'before'))
    for (const data of ['10', '11', '12']) await app.sse.publish('a', data)
    Date.now = now
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': ids.at(-1) } })
    for (const data of ['10', '11', '12']) t.match(await stream.next(), { event: 'message', data })
    stream.close()
  })
})

test('go-sse', async (t) => {
  t.test('go-sse: a client that has the newest event is sent no event again', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'] })
    await app.sse.publish('a', 'old')
    const id = await app.sse.publish('a', 'newest')
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': id } })
    await app.sse.publish('a', 'next')
    t.match(await stream.next(), { data: 'next' })
    stream.close()
  })

  t.test('go-sse: a client whose event is no longer retained gets a gap before the retained events', async (t) => {
    const app = await makeApp(t, { history: { size: 2 } })
    app.sseRoute('/', { topics: ['a'] })
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await app.sse.publish('a', String(i)))
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': ids[0] } })
    t.strictSame(await stream.next(), { id: ids[2], event: 'gap', data: JSON.stringify({ lastEventId: ids[0], oldestId: ids[3] }) })
    t.match([await stream.next(), await stream.next()], [{ data: '3' }, { data: '4' }])
    stream.close()
  })
})

test('Mercure', async (t) => {
  t.test('Mercure: an unknown Last-Event-ID causes a gap event, which EventSource can see', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'] })
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': '1000-7' } })
    t.match(await stream.next(), { event: 'gap', data: '{"lastEventId":"1000-7","oldestId":null}' })
    stream.close()
  })
})

test('GoFrame', async (t) => {
  t.test('GoFrame: the end of one of two streams with the same client id leaves the other its messages', async (t) => {
    const app = await makeApp(t, { clientId: (request) => String(request.headers['x-user']) })
    app.sseRoute('/', { topics: [] })
    const headers = { 'x-user': 'ann' }
    const [first, second] = [await injectSSE(app, { url: '/', headers }), await injectSSE(app, { url: '/', headers })]
    await app.sse.sendTo('ann', 'both')
    t.match([await first.next(), await second.next()], [{ data: 'both' }, { data: 'both' }])
    first.close()
    await until('the first is gone', () => app.sse.streams.size === 1)
    await app.sse.sendTo('ann', 'second')
    t.match(await second.next(), { data: 'second' })
    second.close()
    await until('both are gone', () => app.sse.streams.size === 0)
    t.equal(hubOf(app).clients.size, 0)
  })

  t.test('GoFrame: data with format characters is published unchanged', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['%s'] })
    const stream = await injectSSE(app, { url: '/' })
    await app.sse.publish('%s', '100 %d %%')
    t.match(await stream.next(), { data: '100 %d %%' })
    stream.close()
  })

  t.test('GoFrame: an event that a subscriber publishes again is sent once', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => app.sse.publish('a', 'left') })
    const [leaving, staying] = [await injectSSE(app, { url: '/' }), await injectSSE(app, { url: '/' })]
    leaving.close()
    t.match(await staying.next(), { data: 'left' })
    await app.sse.publish('a', 'after')
    t.match(await staying.next(), { data: 'after' })
    staying.close()
  })
})

test('better-sse', async (t) => {
  t.test('better-sse: a published event is encoded once, and a failing stream does not affect the others', async (t) => {
    let encoded = 0
    const app = await makeApp(t, { overflow: 'disconnect', maxBufferedBytes: 10_000, serializer: (data) => `${++encoded} ${data}` })
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => { throw new Error('left') }, onError: () => {} })
    const port = await listen(app)
    const stalled = await open(t, port, '/')
    stalled.pause()
    const clients = await Promise.all(Array.from({ length: 10 }, () => open(t, port, '/')))
    let published = 0
    while (app.sse.stats().closed.overflow === 0) {
      await app.sse.publish('a', { data: ++published, comments: 'x'.repeat(200_000) })
      await until('they have it', () => clients.every(({ text }) => text.includes(`data: ${published} ${published}\n`)))
    }
    await app.sse.publish('a', { data: 0 })
    for (const client of clients) await client.until(`data: ${published + 1} 0`)
    t.equal(encoded, published + 1)
  })
})
