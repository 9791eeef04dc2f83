import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('the timeout counts for each event, whatever comments, ids and parts of events come before it', async (t) => {
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

test('the timeout begins anew with each event', async (t) => {
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

test('an event that comes after its timeout is that of the next call', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const stream = await injectSSE(app, { url: '/', timeout: 30 })
  await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT' })
  await app.sse.publish('a', 'late')
  t.match(await stream.next(), { data: 'late' })
})

test('a stream that breaks off after a timeout is nobody\'s unhandled rejection', async (t) => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => { unhandled.push(reason) }
  process.on('unhandledRejection', note)
  t.teardown(() => { process.off('unhandledRejection', note) })
  const app = await makeApp(t)
  app.sseRoute('/', { source: async function * () { await wait(60); throw new Error('broken') } })
  const stream = await injectSSE(app, { url: '/', timeout: 20 })
  await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT' })
  await until('it is broken off', () => app.sse.stats().active === 0)
  await wait(20)
  t.strictSame(unhandled, [])
})

test('a timeout of Infinity, of more than a timer can wait, or of 0 is none', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { onRequest: () => wait(30), source: async function * () { await wait(30); yield 'a' } })
  for (const timeout of [Infinity, 2 ** 31, 0]) t.match(await (await injectSSE(app, { url: '/', timeout })).next(), { data: 'a' }, `${timeout}`)
})

test('a response that is no event stream and never ends is given up in time', async (t) => {
  const app = await makeApp(t)
  app.get('/', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/plain' }).write('a')
  })
  await t.rejects(injectSSE(app, { url: '/', timeout: 30 }), { code: 'SSE_ERR_TIMEOUT', message: 'An answer from / did not come within 30 ms' })
})
