// Symptom: a stream through @fastify/aws-lambda with `payloadAsStream` has an empty body.
// Cause: it replaces a stream by an empty one if `readableLength` is 0 when `inject` resolves.
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { makeApp } from '../helpers/app.js'

test('inject with payloadAsStream resolves with a first byte, for every kind of stream', async (t) => {
  // keeps the process alive, because the timers of streams do not; on Lambda the socket of the runtime does
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const app = await makeApp(t)
  app.sseRoute('/interval', { interval: 20, immediate: false, payload: () => 'x' })
  app.sseRoute('/source', { source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/first', { openOn: 'first-event', source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/retry', { retry: 5, source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/topics', { topics: ['a'], onConnect: async () => { setTimeout(() => app.sse.publish('a', 'x'), 20) } })
  app.get('/reply', async (_request, reply) => {
    const stream = reply.sse()
    await wait(20)
    await stream.send('x')
  })
  for (const path of ['/interval', '/source', '/first', '/retry', '/topics', '/reply']) {
    const response = await app.inject({ url: path, payloadAsStream: true })
    const body = response.stream()
    t.ok(body.readableLength > 0, path)
    let text = ''
    for await (const chunk of body) {
      text += chunk
      if (text.includes('data: x\n\n')) break
    }
    response.raw.res.destroy()
    t.match(text, /data: x\n\n$/, path)
  }
})

test('inject without payloadAsStream has only the events in its body', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => ['x'] })
  t.equal((await app.inject('/')).body, 'data: x\n\n')
})
