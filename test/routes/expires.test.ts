import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('a stream closes at the time that expires returns, a Date or ms since the epoch', async (t) => {
  const app = await makeApp(t)
  const started = Date.now()
  app.sseRoute('/date', { topics: ['a'], expires: () => new Date(Date.now() + 100) })
  app.sseRoute('/ms', { topics: ['a'], expires: () => Date.now() + 100.5 })
  app.sseRoute('/past', { topics: ['a'], expires: () => 0 })
  app.sseRoute('/never', { topics: ['a'], expires: () => undefined })
  app.sseRoute('/later', { topics: ['a'], expires: () => Infinity })
  const streams = await Promise.all(['/date', '/ms', '/past', '/never', '/later'].map((url) => injectSSE(app, { url })))
  for (const stream of streams.slice(0, 3)) t.equal(await stream.next(), undefined)
  await until('three streams to be closed', () => app.sse.stats().closed.expired === 3)
  t.ok(Date.now() - started >= 99)
  t.equal(app.sse.streams.size, 2)
  for (const stream of streams.slice(3)) stream.close()
})

test('a stream stays open until the system clock has reached the time, also if the clock was set back meanwhile', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'], expires: () => Date.now() + 50 })
  const { now } = Date
  const stream = await injectSSE(app, { url: '/' })
  t.teardown(() => { Date.now = now })
  Date.now = () => now() - 150
  const opened = performance.now()
  t.equal(await stream.next(), undefined)
  t.ok(performance.now() - opened >= 150)
  t.equal(app.sse.stats().closed.expired, 1)
})

test('a result of expires that is no time fails the request', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/text', { topics: ['a'], expires: () => '2026' as never })
  app.sseRoute('/invalid', { topics: ['a'], expires: () => new Date('x') })
  for (const url of ['/text', '/invalid']) t.match((await app.inject(url)).json(), { statusCode: 500, code: 'SSE_ERR_OPTION', message: /expires/ })
})
