import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { dial, listen, makeApp, open, until } from '../helpers/app.js'

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
    await until('all have a place', () => app.sse.streams.size === 200)
    await app.sse.publish('a', 'x'.repeat(1_000))
    t.equal((await app.inject('/')).statusCode, 503)
    socket.resetAndDestroy()
    await until('the places are free', () => app.sse.streams.size === 0, 2_000)
    t.equal((await open(t, port, '/')).response.statusCode, 200)
  })

  t.test('and one that waits behind a stream is sent everything when its turn comes', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    app.sseRoute('/:name', { topics: ['a'], onConnect: (request, stream) => stream.send(`hello ${request.url}`) })
    app.sseRoute('/closed', { onConnect: (_request, stream) => { stream.send('closed').catch(t.error); stream.close() } })
    app.sseRoute('/source', { source: async function * () { yield 'x'.repeat(50_000); yield 'y' } })
    const socket = await dial(t, await listen(app))
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
    socket.write(get('/1') + get('/2') + get('/closed') + get('/source'))
    await until('two are open, one has closed', () => app.sse.streams.size === 3 && app.sse.stats().closed.server === 1)
    await app.sse.publish('a', 'published')
    await until('the first has it', () => socket.text.includes('data: published'))
    t.notMatch(socket.text, /hello \/2|closed/)
    const streams = [...app.sse.streams.values()]
    streams.find(({ request }) => request.url === '/1')?.close()
    await until('the second has both', () => /hello \/2[^]*data: published/.test(socket.text))
    await app.sse.publish('a', 'more')
    await until('and more', () => socket.text.includes('data: more'))
    streams.find(({ request }) => request.url === '/2')?.close()
    await until('the others follow, each with its end', () => /data: closed\n\n\r\n0\r\n\r\nHTTP[^]*data: y\n\n\r\n0\r\n\r\n$/.test(socket.text))
  })

  t.test('and one that waits behind a stream is paced and aborted as any other once its turn has come', async (t) => {
    const app = await makeApp(t, { heartbeat: false }, { logger: false })
    let given = 0
    app.sseRoute('/', { topics: ['a'] })
    app.sseRoute('/fails', { source: async function * () { for (; given < 40; given++) yield 'x'.repeat(500_000); throw new Error('failure') } })
    const socket = await dial(t, await listen(app))
    let ended = false
    socket.on('end', () => { ended = true })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /fails HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('both are open', () => app.sse.streams.size === 2)
    t.ok(given < 3, 'nothing is asked for while it waits')
    socket.pause()
    for (const stream of app.sse.streams.values()) if (stream.request.url === '/') stream.close()
    let before = 0
    await until('it waits for its client', async () => {
      before = given
      await wait(50)
      return given > 3 && given === before
    })
    t.ok(given < 40)
    for (const stream of app.sse.streams.values()) stream.send('behind').catch(t.error)
    t.match(app.sse.stats(), { active: 1, closed: { overflow: 0 } }, 'one event more may wait for it')
    socket.resume()
    await until('the connection is closed', () => ended)
    t.equal(given, 40)
    t.notOk(socket.text.endsWith('0\r\n\r\n'))
  })

  t.test('and one that waits behind a stream, and falls too far behind there, is aborted', async (t) => {
    const app = await makeApp(t, { heartbeat: false, maxBufferedBytes: 1_000 })
    app.sseRoute('/', { topics: ['a'] })
    app.sseRoute('/big', { onConnect: (_request, stream) => { for (let i = 0; i < 5; i++) stream.send('x'.repeat(1_000)).catch(t.error) } })
    const socket = await dial(t, await listen(app))
    let ended = false
    socket.on('end', () => { ended = true })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /big HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('it is closed', () => app.sse.stats().closed.overflow === 1)
    for (const stream of app.sse.streams.values()) stream.close()
    await until('the connection is closed', () => ended)
    t.notOk(socket.text.split('HTTP/1.1 200')[2]?.endsWith('0\r\n\r\n'), 'without the end of a response')
  })
})
