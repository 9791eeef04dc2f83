import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { dial, listen, makeApp, open, until } from '../harness.js'

test('nothing is begun for a client that has left', async (t) => {
  for (const openOn of ['request', 'first-event'] as const) {
    t.test(`no source is called, past the limits: openOn ${openOn}`, async (t) => {
      const app = await makeApp(t, { maxStreams: 2 })
      let calls = 0
      app.addHook('preHandler', async (request) => { await until('the client has left', () => request.raw.socket.destroyed) })
      app.sseRoute('/', { openOn, source: () => { calls++; return [] } })
      const port = await listen(app)
      for (let i = 0; i < 20; i++) {
        const socket = await dial(t, port)
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        await wait(2)
        socket.destroy()
      }
      await wait(50)
      t.equal(calls, 0)
      t.match(app.sse.stats(), { opened: 0, rejected: 0 })
    })
  }
})

test('a client that leaves is noticed at once, without a heartbeat', async (t) => {
  t.test('though the body of its GET is unread', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxStreams: 1 })
    app.sseRoute('/', { topics: ['a'] })
    app.get('/hand', (_request, reply) => { reply.sse() })
    const port = await listen(app)
    for (const path of ['/', '/hand']) {
      for (const head of [`Content-Length: ${1_000_000}`, 'Transfer-Encoding: chunked']) {
        const socket = await dial(t, port)
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${head.startsWith('T') ? 'ffff0\r\n' : ''}${'x'.repeat(200_000)}`)
        await until('it is open', () => app.sse.streams.size === 1)
        socket.destroy()
        await until('it is closed', () => app.sse.streams.size === 0, 2_000)
      }
    }
  })

  t.test('though requests wait behind its stream, each of which has a place among maxStreams', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxStreams: 200 })
    app.sseRoute('/', { topics: ['a'], headers: { 'x-long': 'x'.repeat(200) } })
    const port = await listen(app)
    const socket = await dial(t, port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200))
    await until('the first is open', () => app.sse.streams.size === 1)
    await until('all have a place', async () => (await app.inject('/')).statusCode === 503)
    socket.resetAndDestroy()
    await until('the places are free', async () => {
      const client = await open(t, port, '/')
      client.leave()
      return client.response.statusCode === 200
    }, 2_000)
    t.equal(app.sse.stats().opened, 2, 'those that waited never opened')
  })

  t.test('and one that waits behind a stream opens when its turn comes', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    const opened: string[] = []
    app.sseRoute('/:name', { topics: ['a'], onConnect: (request) => { opened.push(request.url) } })
    const socket = await dial(t, await listen(app))
    socket.write('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the first is open', () => app.sse.streams.size === 1)
    await wait(20)
    t.strictSame(opened, ['/1'])
    for (const stream of app.sse.streams.values()) stream.close()
    await until('the second is open', () => opened.length === 2)
    await app.sse.publish('a', 'event')
    await until('it gets what is published', () => socket.text.includes('data: event'))
  })
})
