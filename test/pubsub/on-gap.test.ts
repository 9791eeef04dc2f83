import { test } from 'tap'
import type { SSEGap, SSEStream } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { eventsOf, follow, publishAll, take, takeData } from '../helpers/subscriber.js'

test('onGap gives the event in place of the gap, with the id of the gap, before the events after it', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  const gaps: SSEGap[] = []
  app.sseRoute('/', {
    topics: ['a'],
    onGap: async (gap, request, stream) => {
      gaps.push(gap)
      t.equal(stream.request, request)
      await new Promise((resolve) => setTimeout(resolve, 20))
      return { event: 'snapshot', data: 'all' }
    }
  })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  const stream = await follow(app, '/', ids[0])
  t.strictSame(await take(stream, 2), [{ id: ids[1], event: 'snapshot', data: 'all' }, { id: ids[2], event: 'message', data: '2' }])
  t.strictSame(gaps, [{ lastEventId: ids[0], oldestId: ids[2] }])
  t.match(app.sse.stats(), { gaps: 1 })
})

test('onGap that returns null sends nothing; undefined sends the event gap', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/null', { topics: ['a'], onGap: () => null })
  app.sseRoute('/undefined', { topics: ['a'], onGap: () => undefined })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  t.strictSame(await takeData(await follow(app, '/null', ids[0]), 1), ['2'])
  t.match(await take(await follow(app, '/undefined', ids[0]), 2), [{ event: 'gap', id: ids[1] }, { data: '2' }])
})

test('a snapshot is sent exactly when it is needed, with stream.resumed and onGap', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  const snapshot = () => ({ event: 'snapshot', data: 'all' })
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => { if (!stream.resumed) stream.send(snapshot()) }, onGap: snapshot })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  const events = async (lastEventId?: string) => (await take(await follow(app, '/', lastEventId), 1)).map(({ event, data }) => `${event} ${data}`)
  t.strictSame(await events(), ['snapshot all'], 'a new client')
  t.strictSame(await events('another id'), ['snapshot all'], 'an id that is none of the log')
  t.strictSame(await events(ids[0]), ['snapshot all'], 'a client that has missed events')
  t.strictSame(await events(ids[1]), ['message 2'], 'a client whose missed events are retained')
})

test('onGap that fails is reported like a failed source: the stream is aborted', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  const errors: Error[] = []
  app.sseRoute('/', { topics: ['a'], onGap: () => { throw new Error('no snapshot') }, onError: (error) => { errors.push(error) } })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': ids[0] } })
  t.equal(await client.finished(), false)
  t.match(errors, [{ message: 'no snapshot' }])
})

test('onGap gives the event in place of the gap of overflow: drop, and later events follow it', async (t) => {
  const app = await makeApp(t, { overflow: 'drop', maxBufferedBytes: 50_000, heartbeat: false })
  let stream: SSEStream | undefined
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, connected) => { stream = connected }, onGap: async () => 'missed some' })
  const client = await open(t, await listen(app), '/')
  client.pause()
  await until('a dropped event', async () => {
    await app.sse.publish('a', 'x'.repeat(20_000))
    return app.sse.stats().dropped > 0
  })
  client.resume()
  await client.until('data: missed some\n\n')
  const id = await app.sse.publish('a', 'live')
  await client.until(`id: ${id}\ndata: live\n\n`)
  t.match(eventsOf(client.text).slice(-2), [{ data: 'missed some' }, { data: 'live' }])
  t.equal(stream?.closed, false)
})
