import { setTimeout as wait } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'
import { test, type Test } from 'tap'
import { EventSource } from 'eventsource'
import type { FastifyInstance } from 'fastify'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/troubleshooting.md')

const [progress] = page.codeOf('The client reconnects for ever', 'ts')
const [reader] = page.codeOf('The client reconnects for ever', 'js')
const [wrong, mine] = page.codeOf('A user sees the data of another user', 'ts')
const [viewers] = page.codeOf('Memory grows', 'ts')

/** Returns the data of the first event that a user gets. */
async function firstData (t: Test, app: FastifyInstance, url: string, authorization: string): Promise<unknown> {
  const stream = await injectSSE(app, { url, headers: { authorization } })
  t.teardown(() => stream.close())
  return JSON.parse((await stream.next())?.data ?? '')
}

test('an open stream to which nothing is sent has only heartbeats', async (t) => {
  const app = await makeApp(t, { heartbeat: 10 })
  app.sseRoute('/', { topics: ['orders'] })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish('other', 'not for this stream')
  for (let i = 0; i < 3; i++) await stream.read()
  t.match(stream.raw, /^((id: [\d-]+|:)\n+)+$/)
  t.equal(app.sse.stats().sent, 0)
  t.strictSame([...[...app.sse.streams.values()][0]?.topics ?? []], ['orders'])
  stream.close()
})

test('a refused request has a status and JSON with a code', async (t) => {
  const app = await makeApp(t, { maxStreams: 1 })
  app.sseRoute('/', { topics: ['a'] })
  app.sseRoute('/any', { topics: ['a'], accept: 'any' })
  const json = await app.inject({ url: '/', headers: { accept: 'application/json' } })
  t.match([json.statusCode, json.json()], [406, { code: 'SSE_ERR_NOT_ACCEPTABLE' }])
  const stream = await injectSSE(app, { url: '/any', headers: { accept: 'application/json' } })
  const full = await app.inject('/')
  t.match([full.statusCode, full.json(), full.headers['retry-after']], [503, { code: 'SSE_ERR_TOO_MANY_STREAMS' }, '5'])
  stream.close()
})

test('the ids in a gap tell its causes apart', async (t) => {
  const numberOf = (id: string) => Number(id.split('-')[1])
  const isGreater = (a: string, b: string) => Number(a.split('-')[0]) > Number(b.split('-')[0])
  const start = async () => {
    const app = await makeApp(t, { history: { size: 2 } })
    app.sseRoute('/', { topics: ['orders'] })
    app.get('/late', async (_request, reply) => {
      const stream = reply.sse()
      await wait(20)
      stream.subscribe('orders')
    })
    return app
  }
  const gapOf = async (app: FastifyInstance, url: string, id: string) => {
    const stream = await injectSSE(app, { url, headers: { 'last-event-id': id } })
    const { event, data = '' } = await stream.next() ?? {}
    stream.close()
    t.equal(event, 'gap', url)
    return JSON.parse(data)
  }
  const [app, restarted] = [await start(), await start()]
  const ids: string[] = []
  for (const data of ['1', '2', '3', '4']) {
    ids.push(await app.sse.publish('orders', data))
    await wait(2)
  }
  const [old = '', , third = '', newest = ''] = ids
  const numbers = ids.map(numberOf)
  t.ok(Math.max(...numbers) - Math.min(...numbers) < 4, numbers.join())
  const other = numberOf(await restarted.sse.publish('orders', '1'))
  t.ok(Math.abs(numberOf((await gapOf(restarted, '/', newest)).lastEventId) - other) > 4, 'restarted, or another process')
  const short = await gapOf(app, '/', old)
  t.ok(isGreater(short.oldestId, short.lastEventId), 'too short')
  const late = await gapOf(app, '/late', third)
  t.notOk(isGreater(late.oldestId, late.lastEventId), 'subscribed late')
})

test('a source that ends sends the event of `end`, and is read again by the next request', async (t) => {
  const app = await runApp(t, tenLines({ after: progress }))
  for (let i = 0; i < 2; i++) {
    const { body } = await app.inject('/progress')
    t.match(body, /data: half\n\ndata: ready\n\nevent: done\ndata: \n\n$/)
  }
})

test('an EventSource that is closed at the event of `end` does not reconnect', async (t) => {
  const app = await runApp(t, tenLines({ after: progress }))
  const url = `http://127.0.0.1:${await listen(app)}`
  class PageEventSource extends EventSource {
    constructor (path: string) { super(url + path) }
  }
  const source: EventSource = runInNewContext(`${reader}\nprogress`, { EventSource: PageEventSource })
  t.teardown(() => source.close())
  await until('the end', () => source.readyState === source.CLOSED)
  t.match(app.sse.stats(), { opened: 1 })
})

test('`shared: true` shows all users the data of one, a key by user does not', async (t) => {
  const app = await runApp(t, tenLines({ after: `${wrong}\n${mine}` }))
  t.strictSame([await firstData(t, app, '/wrong', 'ann'), await firstData(t, app, '/wrong', 'bob')], [{ user: 'ann' }, { user: 'ann' }])
  t.strictSame([await firstData(t, app, '/mine', 'ann'), await firstData(t, app, '/mine', 'bob')], [{ user: 'ann' }, { user: 'bob' }])
  const stream = await injectSSE(app, { url: '/mine' })
  t.match(page.sectionOf('A user sees the data of another user'), `\`cache-control: ${stream.headers['cache-control']}\``)
  stream.close()
})

test('an entry of a Map is removed in onDisconnect', async (t) => {
  const app = await runApp(t, tenLines({ after: `${viewers}\napp.get('/viewers/count', async () => viewers.size)` }))
  const count = async () => (await app.inject('/viewers/count')).body
  const stream = await injectSSE(app, { url: '/viewers' })
  t.equal(await count(), '1')
  stream.close()
  await until('the disconnect', async () => await count() === '0')
})

test('an event that is published to two topics arrives once, two events arrive twice', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a', 'b'] })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish(['a', 'b'], 'once')
  for (const topic of ['a', 'b']) await app.sse.publish(topic, 'twice')
  await app.sse.publish('a', 'last')
  const data: unknown[] = []
  for await (const event of stream) {
    data.push(event.data)
    if (event.data === 'last') break
  }
  t.strictSame(data, ['once', 'twice', 'twice', 'last'])
})
