// Symptom: a test that waits for an event with injectSSE never times out.
// Cause: comments such as heartbeats restarted the timeout.
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('the timeout of injectSSE is not restarted by comments, ids and parts of events', async (t) => {
  const app = await makeApp(t, { heartbeat: 10 })
  app.sseRoute('/beats', { onConnect: () => {} })
  app.sseRoute('/log', { topics: ['a'] })
  app.sseRoute('/comments', { interval: 10, payload: () => ({ comments: 'x' }) })
  app.get('/parts', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    const timer = setInterval(() => { reply.raw.write('data: x\n') }, 10)
    reply.raw.on('close', () => { clearInterval(timer) })
  })
  for (const url of ['/beats', '/log', '/comments', '/parts']) {
    const stream = await injectSSE(app, { url, timeout: 100 })
    const begun = performance.now()
    await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT', message: 'An event did not come within 100 ms' }, url)
    t.ok(performance.now() - begun < 5_000)
    stream.close()
  }
})

test('the timeout of injectSSE restarts with each event', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', {
    source: async function * () {
      for (let i = 0; i < 4; i++) {
        await wait(200)
        yield { data: i }
      }
    }
  })
  const data: string[] = []
  for await (const event of await injectSSE(app, { url: '/', timeout: 600 })) data.push(event.data)
  t.strictSame(data, ['0', '1', '2', '3'])
})

test('an event that arrives after a timeout of injectSSE is returned by the next call', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const stream = await injectSSE(app, { url: '/', timeout: 30 })
  await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT' })
  await app.sse.publish('a', 'late')
  t.match(await stream.next(), { data: 'late' })
})

test('a stream that is aborted after a timeout of injectSSE causes no unhandled rejection', async (t) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => { unhandled.push(reason) }
  process.on('unhandledRejection', note)
  t.teardown(() => { process.off('unhandledRejection', note) })
  const app = await makeApp(t)
  app.sseRoute('/', { source: async function * () { await wait(60); throw new Error('broken') } })
  const stream = await injectSSE(app, { url: '/', timeout: 20 })
  await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT' })
  await until('the stream to be aborted', () => app.sse.stats().active === 0)
  await wait(20)
  t.strictSame(unhandled, [])
})

test('injectSSE has no timeout with Infinity, 0 or more than the maximum of a timer', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onRequest: () => wait(30), source: async function * () { await wait(30); yield 'a' } })
  for (const timeout of [Infinity, 2 ** 31, 0]) t.match(await (await injectSSE(app, { url: '/', timeout })).next(), { data: 'a' }, `${timeout}`)
})

test('injectSSE times out for a response that is not an event stream and never ends', async (t) => {
  const app = await makeApp(t)
  app.get('/', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/plain' }).write('a')
  })
  await t.rejects(injectSSE(app, { url: '/', timeout: 30 }), { code: 'SSE_ERR_TIMEOUT', message: 'An answer from / did not come within 30 ms' })
})
