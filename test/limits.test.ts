import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../lib/testing.js'
import { dial, listen, makeApp, open, until } from './harness.js'

let waiting = 0

function everyWay (app: FastifyInstance): void {
  app.sseRoute('/open', { onConnect: () => {} })
  app.sseRoute('/ends', { source: () => ['x'] })
  app.sseRoute('/fails', { source: () => { throw new Error('x') }, onError: () => {} })
  app.sseRoute('/refused', { openOn: 'first-event', source: () => { throw new Error('x') } })
  app.sseRoute('/waits', { openOn: 'first-event', source: () => { waiting++; return new Promise<never>(() => {}) } })
  app.sseRoute('/client-id', { source: () => [], clientId: () => { throw new Error('x') } })
  app.get('/hand', (request, reply) => { reply.sse() })
}

test('maxStreams', async (t) => {
  t.test('answers more with 503 and Retry-After, and counts them', async (t) => {
    const app = await makeApp(t, { maxStreams: 2 })
    everyWay(app)
    const port = await listen(app)
    const [one] = [await open(t, port, '/open'), await open(t, port, '/hand')]
    for (const path of ['/open', '/hand']) {
      const { statusCode, headers } = (await open(t, port, path)).response
      t.equal(statusCode, 503)
      t.match(headers, { 'retry-after': '5', 'content-type': /json/ })
    }
    t.match(app.sse.stats(), { active: 2, opened: 2, rejected: 2 })
    one?.leave()
    await until('a place is free', () => app.sse.streams.size === 1)
    t.equal((await open(t, port, '/open')).response.statusCode, 200)
  })

  t.test('holds when many come at once', async (t) => {
    const app = await makeApp(t, { maxStreams: 5 })
    everyWay(app)
    const port = await listen(app)
    const clients = await Promise.all(Array.from({ length: 50 }, () => open(t, port, '/open')))
    t.equal(clients.filter(({ response }) => response.statusCode === 200).length, 5)
    t.match(app.sse.stats(), { active: 5, rejected: 45 })
  })

  t.test('frees a place whatever way a stream ends, or does not open', async (t) => {
    const app = await makeApp(t, { maxStreams: 1, maxStreamsPerClient: { max: 1 } })
    everyWay(app)
    app.get('/gone', async (request, reply) => {
      await until('the client is gone', () => reply.raw.destroyed)
      reply.sse()
    })
    const port = await listen(app)
    for (let round = 0; round < 3; round++) {
      for (const path of ['/ends', '/fails', '/refused', '/client-id', '/open', '/hand', '/waits', '/gone']) {
        const socket = await dial(t, port)
        const before = waiting
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
        if (path === '/waits') await until(path, () => waiting > before)
        else if (path !== '/gone') await until(path, () => socket.text.includes('\r\n\r\n'))
        t.notMatch(socket.text, 'HTTP/1.1 503', path)
        t.notMatch(socket.text, 'HTTP/1.1 429', path)
        socket.destroy()
        await until('it is over', async () => (await app.inject('/refused')).statusCode === 500)
      }
    }
  })
})

test('maxStreamsPerClient', async (t) => {
  t.test('answers more of one client with 429 and Retry-After', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 2, key: (request) => String(request.headers['x-user']) } })
    everyWay(app)
    const streams = [
      await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } }),
      await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } })
    ]
    const third = await app.inject({ url: '/open', headers: { 'x-user': 'ann' } })
    t.match(third, { statusCode: 429, headers: { 'retry-after': '5' } })
    t.match(third.json(), { code: 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT' })
    const other = await injectSSE(app, { url: '/open', headers: { 'x-user': 'bob' } })
    t.equal(other.statusCode, 200)
    streams[0]?.close()
    await until('a place is free', () => app.sse.streams.size === 2)
    t.equal((await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } })).statusCode, 200)
  })

  t.test('takes a client by its address, an IPv6 one by its /64 network', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 1 } })
    everyWay(app)
    const from = (remoteAddress: string) => app.inject({ url: '/open', remoteAddress, payloadAsStream: true })
    const same = [['10.0.0.1', '10.0.0.1'], ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9'], ['2001:db8::1', '2001:DB8:0:0:1::'], ['::1', '::2'], ['fe80::1%eth0', 'fe80::2%eth0']]
    for (const [first = '', second = ''] of same) {
      t.equal((await from(first)).statusCode, 200, first)
      t.equal((await from(second)).statusCode, 429, second)
    }
    for (const address of ['10.0.0.2', '2001:db8:1:3::1', '2001:db8:0:1::', '::ffff:10.0.0.3', '::ffff:10.0.0.4']) {
      t.equal((await from(address)).statusCode, 200, address)
    }
  })
})
