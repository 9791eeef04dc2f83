import { test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { eventsOf, idsOf, untilStable } from '../helpers/subscriber.js'

const FILL = 'x'.repeat(20_000)

test('a client that falls behind keeps its stream, and then reads what it missed from the log', async (t) => {
  const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false })
  app.sseRoute('/', { topics: ['a', 'b'] })
  const client = await open(t, await listen(app), '/')
  client.pause()
  const ids: string[] = []
  for (let i = 0; i < 900; i++) ids.push(await app.sse.publish(i % 9 === 0 ? 'b' : 'a', `${i} ${FILL}`))
  const [stream] = app.sse.streams.values()
  t.ok((stream?.request.raw.socket.writableLength ?? Infinity) < 200_000, 'no more than maxBufferedBytes wait in memory')
  t.ok(app.sse.stats().sent < 800, `${app.sse.stats().sent} events filled the buffers`)
  client.resume()
  await until('all events', () => idsOf(client.text.slice(-30_000)).includes(ids.at(-1) ?? ''))
  const last = await app.sse.publish('a', 'live')
  await client.until(`id: ${last}\ndata: live\n\n`)
  t.strictSame(eventsOf(client.text).map(({ id }) => id), [...ids, last])
  t.match(app.sse.stats(), { active: 1, gaps: 0, dropped: 0, closed: { overflow: 0 } })
  t.ok(app.sse.stats().replayed > 0)
})

test('a client that falls behind gets a gap only for events that the log no longer has', async (t) => {
  const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false, history: { size: 10 } })
  app.sseRoute('/', { topics: ['a'] })
  const client = await open(t, await listen(app), '/')
  client.pause()
  const ids: string[] = []
  for (let i = 0; i < 900; i++) ids.push(await app.sse.publish('a', `${i} ${FILL}`))
  client.resume()
  await until('all events', () => idsOf(client.text.slice(-30_000)).includes(ids.at(-1) ?? ''))
  const events = eventsOf(client.text)
  const at = events.findIndex(({ event }) => event === 'gap')
  t.strictSame(events.map(({ id }) => id), [...ids.slice(0, at), ids.at(-11), ...ids.slice(-10)])
  t.match(app.sse.stats(), { active: 1, gaps: 1 })
})

for (const [what, options, path] of [
  ['an event of the application', {}, '/topics'],
  ['a published event on a stream with ids of the application', {}, '/ids'],
  ['a published event with overflow: disconnect', { overflow: 'disconnect' }, '/topics']
] as Array<[string, SSEPluginOptions, string]>) {
  test(`a client that is too far behind for ${what} is disconnected`, async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false, ...options })
    app.sseRoute('/topics', { topics: ['a'] })
    app.get('/ids', (_request, reply) => { reply.sse().send({ id: 'own', data: '' }) })
    const client = await open(t, await listen(app), path)
    await client.until('\n\n')
    client.pause()
    const [stream] = app.sse.streams.values()
    await until('the overflow', async () => {
      if (what.startsWith('an event')) stream?.send(FILL)
      else await app.sse.broadcast(FILL)
      return stream?.closeReason === 'overflow'
    })
    client.resume()
    t.equal(await client.finished(), false, 'the client sees a failure')
  })
}

test('a client that takes no byte for stallTimeout is disconnected, a slow one is not', async (t) => {
  const app = await makeApp(t, { heartbeat: false, stallTimeout: 400 })
  app.sseRoute('/', { topics: ['a'] })
  const port = await listen(app)
  const [stalled, slow, quiet] = [await open(t, port, '/'), await open(t, port, '/'), await open(t, port, '/')]
  stalled.pause()
  slow.pause()
  const reading = setInterval(() => {
    slow.resume()
    setTimeout(() => slow.pause(), 5)
  }, 50)
  t.teardown(() => clearInterval(reading))
  await until('the stalled stream to be closed', async () => {
    await app.sse.publish('a', FILL)
    return app.sse.stats().closed.stalled === 1
  })
  stalled.resume()
  t.equal(await stalled.finished(), false)
  clearInterval(reading)
  slow.resume()
  await untilStable('the events', () => slow.text.length)
  await new Promise((resolve) => setTimeout(resolve, 600))
  t.match(app.sse.stats(), { active: 2, closed: { stalled: 1, overflow: 0 } }, 'a client that has read all is not stalled')
  t.ok(quiet.text.length > 0)
})
