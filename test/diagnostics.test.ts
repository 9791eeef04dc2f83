import { AsyncLocalStorage } from 'node:async_hooks'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test, type Test } from 'tap'
import type { SSEDiagnostics } from '../lib/index.js'
import { Client, listen, makeApp, open, until } from './helpers/app.js'

/** Collects the messages of a channel until the test ends. */
function collect<Name extends keyof SSEDiagnostics> (t: Test, name: Name, note = () => {}): Array<SSEDiagnostics[Name]> {
  const messages: Array<SSEDiagnostics[Name]> = []
  const take = (message: unknown) => {
    messages.push(message as SSEDiagnostics[Name])
    note()
  }
  subscribe(name, take)
  t.teardown(() => unsubscribe(name, take))
  return messages
}

test('channels of node:diagnostics_channel report streams that open and close', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const contexts: unknown[] = []
  const note = () => { contexts.push(storage.getStore()) }
  const [opened, closed] = [collect(t, 'fastify-sse-routes:open', note), collect(t, 'fastify-sse-routes:close', note)]
  const app = await makeApp(t)
  app.addHook('onRequest', (request, _reply, done) => { storage.run(request.url, done) })
  app.sseRoute('/a', { source: () => ['x', 'y'] })
  app.get('/b', (_request, reply) => { reply.sse().send('z') })
  const port = await listen(app)
  await (await open(t, port, '/a')).finished()
  const client = await open(t, port, '/b')
  await client.until('data: z')
  client.disconnect()
  await until('both streams to be closed', () => closed.length === 2)
  t.strictSame(opened.map(({ stream }) => stream.request.url), ['/a', '/b'])
  t.match(closed, [
    { stream: opened[0]?.stream, closeReason: 'server', events: 2, bytes: 18, ms: Number },
    { stream: opened[1]?.stream, closeReason: 'client', events: 1, bytes: 9, ms: Number }
  ])
  t.strictSame(contexts, ['/a', '/a', '/b', '/b'])
})

test('a channel of node:diagnostics_channel reports published events after the log has stored them', async (t) => {
  const published = collect(t, 'fastify-sse-routes:publish')
  const remote = await makeApp(t, {
    backplane: () => ({
      newest: '1-0',
      oldestId: null,
      open: async () => {},
      close: async () => {},
      control: () => '1-1',
      read: (after) => ({ gap: null, events: [], position: after }),
      rewind: () => ({ topics: new Map(), others: '1-0' }),
      publish: async ({ names: [name] }) => {
        if (name === 'refused') throw new Error('refused')
        return '1-1'
      }
    })
  })
  const app = await makeApp(t)
  const ids = [await app.sse.publish('a', 'one'), await app.sse.broadcast({ data: 2 }), await app.sse.sendTo('me', 'three')]
  t.strictSame(published, [
    { id: ids[0], to: 'topic', names: ['a'], except: null, payload: 'one' },
    { id: ids[1], to: 'all', names: [], except: null, payload: { data: 2 } },
    { id: ids[2], to: 'client', names: ['me'], except: null, payload: 'three' }
  ])
  published.length = 0
  await t.rejects(remote.sse.publish('refused', 'x'))
  await t.rejects(app.sse.publish('', 'x'))
  t.equal(await remote.sse.publish('b', 'x'), '1-1')
  t.strictSame(published, [{ id: '1-1', to: 'topic', names: ['b'], except: null, payload: 'x' }])
})

test('a channel of node:diagnostics_channel reports gaps', async (t) => {
  const gaps = collect(t, 'fastify-sse-routes:gap')
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'] })
  app.sseRoute('/drop', { topics: ['a'], overflow: 'drop', maxBufferedBytes: 1_000 })
  const port = await listen(app)
  const ids: string[] = []
  for (const text of ['1', '2', '3']) ids.push(await app.sse.publish('a', text))
  const client = await open(t, port, `/?lastEventId=${ids[0]}`)
  await client.until('event: gap')
  t.match(gaps, [{ stream: { lastEventId: ids[0] }, lastEventId: ids[0], oldestId: ids[2] }])
  client.disconnect()

  const slow: Client = await open(t, port, '/drop')
  slow.pause()
  let last = ''
  await until('dropped events', async () => {
    last = await app.sse.publish('a', 'x'.repeat(1_000_000))
    return app.sse.stats().dropped > 0
  })
  slow.resume()
  await slow.until('event: gap')
  t.match(gaps[1], { stream: { request: { url: '/drop' } }, oldestId: last })
  t.ok(gaps[1]?.lastEventId)
})

test('the diagnostics channels have no subscribers by default', async (t) => {
  for (const name of ['open', 'close', 'publish', 'gap']) t.notOk(channel(`fastify-sse-routes:${name}`).hasSubscribers)
})
