import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { makeApp } from '../helpers/app.js'

// @fastify/aws-lambda with `payloadAsStream` replaces a stream whose `readableLength` is 0 when `inject` answers by an empty one.

test('inject with payloadAsStream answers with a first byte, in every kind of stream', async (t) => {
  // the timers of streams keep no process alive, as the runtime's socket does on Lambda
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const app = await makeApp(t)
  app.sseRoute('/interval', { interval: 20, immediate: false, payload: () => 'x' })
  app.sseRoute('/source', { source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/first', { openOn: 'first-event', source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/retry', { retry: 5, source: async function * () { await wait(20); yield 'x' } })
  app.sseRoute('/topics', { topics: ['a'], onConnect: async () => { setTimeout(() => app.sse.publish('a', 'x'), 20) } })
  app.get('/hand', async (_request, reply) => {
    const stream = reply.sse()
    await wait(20)
    await stream.send('x')
  })
  for (const path of ['/interval', '/source', '/first', '/retry', '/topics', '/hand']) {
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

test('inject without it gives the events and nothing else', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => ['x'] })
  t.equal((await app.inject('/')).body, 'data: x\n\n')
})
