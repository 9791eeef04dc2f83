// Symptom: sources run, and places under maxStreams are taken, for clients that have disconnected.
// Cause: the request ended while a hook was pending, or Node had paused the socket because of an unread body or pipelined requests and noticed no disconnect.
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

test('nothing is started for a client that has disconnected', async (t) => {
  for (const openOn of ['request', 'first-event'] as const) {
    t.test(`no source is called for a client that has disconnected, with openOn: ${openOn}`, async (t) => {
      const app = await makeApp(t, { maxStreams: 2 })
      let calls = 0
      app.addHook('preHandler', async (request) => { await until('the client to be gone', () => request.raw.socket.destroyed) })
      app.sseRoute('/', { openOn, source: () => { calls++; return [] } })
      const port = await listen(app)
      for (let i = 0; i < 20; i++) {
        const socket = await connectSocket(t, port)
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

test('a disconnected client is noticed at once, without a heartbeat', async (t) => {
  t.test('a disconnect is noticed although the body of the GET request was not read', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxStreams: 1 })
    app.sseRoute('/', { topics: ['a'] })
    app.get('/reply', (_request, reply) => { reply.sse() })
    const port = await listen(app)
    for (const path of ['/', '/reply']) {
      for (const head of [`Content-Length: ${1_000_000}`, 'Transfer-Encoding: chunked']) {
        const socket = await connectSocket(t, port)
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n${head.startsWith('T') ? 'ffff0\r\n' : ''}${'x'.repeat(200_000)}`)
        await until('the stream to be open', () => app.sse.streams.size === 1)
        socket.destroy()
        await until('the stream to be closed', () => app.sse.streams.size === 0, 2_000)
      }
    }
  })

  t.test('a disconnect is noticed although pipelined requests wait, and frees the place of each under maxStreams', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxStreams: 200 })
    app.sseRoute('/', { topics: ['a'], headers: { 'x-long': 'x'.repeat(200) } })
    const port = await listen(app)
    const socket = await connectSocket(t, port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(200))
    await until('all requests to have a place', () => app.sse.streams.size === 200)
    await app.sse.publish('a', 'x'.repeat(1_000))
    t.equal((await app.inject('/')).statusCode, 503)
    socket.resetAndDestroy()
    await until('the places to be free', () => app.sse.streams.size === 0, 2_000)
    t.equal((await open(t, port, '/')).response.statusCode, 200)
  })

  t.test('a pipelined stream is sent everything once the response before it has ended', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    app.sseRoute('/:name', { topics: ['a'], onConnect: (request, stream) => stream.send(`hello ${request.url}`) })
    app.sseRoute('/closed', { onConnect: (_request, stream) => { stream.send('closed').catch(t.error); stream.close() } })
    app.sseRoute('/source', { source: async function * () { yield 'x'.repeat(50_000); yield 'y' } })
    const socket = await connectSocket(t, await listen(app))
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
    socket.write(get('/1') + get('/2') + get('/closed') + get('/source'))
    await until('three streams to be open and one to be closed', () => app.sse.streams.size === 3 && app.sse.stats().closed.server === 1)
    await app.sse.publish('a', 'published')
    await until('the first stream to have the event', () => socket.text.includes('data: published'))
    t.notMatch(socket.text, /hello \/2|closed/)
    const streams = [...app.sse.streams.values()]
    streams.find(({ request }) => request.url === '/1')?.close()
    await until('the second stream to have both events', () => /hello \/2[^]*data: published/.test(socket.text))
    await app.sse.publish('a', 'more')
    await until('another event on the second stream', () => socket.text.includes('data: more'))
    streams.find(({ request }) => request.url === '/2')?.close()
    await until('the remaining responses to follow and end', () => /data: closed\n\n\r\n0\r\n\r\nHTTP[^]*data: y\n\n\r\n0\r\n\r\n$/.test(socket.text))
  })

  t.test('a pipelined stream applies backpressure and is aborted like any other once the response before it has ended', async (t) => {
    const app = await makeApp(t, { heartbeat: false }, { logger: false })
    let given = 0
    app.sseRoute('/', { topics: ['a'] })
    app.sseRoute('/fails', { source: async function * () { for (; given < 40; given++) yield 'x'.repeat(500_000); throw new Error('failure') } })
    const socket = await connectSocket(t, await listen(app))
    let ended = false
    socket.on('end', () => { ended = true })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /fails HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('both streams to be open', () => app.sse.streams.size === 2)
    t.ok(given < 3, 'the source is read no further before its response is written')
    socket.pause()
    for (const stream of app.sse.streams.values()) if (stream.request.url === '/') stream.close()
    let before = 0
    await until('the source to wait for its client', async () => {
      before = given
      await wait(50)
      return given > 3 && given === before
    })
    t.ok(given < 40)
    for (const stream of app.sse.streams.values()) stream.send('behind').catch(t.error)
    t.match(app.sse.stats(), { active: 1, closed: { overflow: 0 } }, 'one more event can be buffered')
    socket.resume()
    await until('the connection to be closed', () => ended)
    t.equal(given, 40)
    t.notOk(socket.text.endsWith('0\r\n\r\n'))
  })

  t.test('a pipelined stream that exceeds maxBufferedBytes before its response is written is aborted', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxBufferedBytes: 1_000 })
    app.sseRoute('/', { topics: ['a'] })
    app.sseRoute('/big', { onConnect: (_request, stream) => { for (let i = 0; i < 5; i++) stream.send('x'.repeat(1_000)).catch(t.error) } })
    const socket = await connectSocket(t, await listen(app))
    let ended = false
    socket.on('end', () => { ended = true })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /big HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the stream to be closed', () => app.sse.stats().closed.overflow === 1)
    for (const stream of app.sse.streams.values()) stream.close()
    await until('the connection to be closed', () => ended)
    t.notOk(socket.text.split('HTTP/1.1 200')[2]?.endsWith('0\r\n\r\n'), 'the second response has no end')
  })
})
