import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { connectSocket, until } from '../helpers/app.js'
import { ChaosApp, KINDS } from './app.js'
import { HOLDS, readWitness, requestFor } from './requests.js'

const WAYS = { 'reset their connection': (socket: Socket) => { socket.resetAndDestroy() }, 'close their connection': (socket: Socket) => { socket.destroy() } }
/** Number of clients per kind of route. */
const EACH = 2

/** Connects clients that each write a request. With `reads` false they do not read. */
async function connectClients (t: Test, port: number, requests: string[], reads = true): Promise<(Socket & { text: string })[]> {
  const sockets = await Promise.all(requests.map(() => connectSocket(t, port)))
  for (const [i, socket] of sockets.entries()) {
    if (!reads) socket.pause()
    socket.write(requests[i] ?? '')
  }
  return sockets
}

const server = { keepAliveTimeout: 1_000, http: { connectionsCheckingInterval: 50 } }

test('over HTTP/1.1', async (t) => {
  const chaos = await ChaosApp.start(t, server, readWitness)

  const clients = (t: Test, requests: string[], reads?: boolean) => connectClients(t, chaos.port, requests, reads)
  const ofEachKind = (headers?: Record<string, string>) => KINDS.flatMap((kind) => Array<string>(EACH).fill(requestFor(kind, headers)))

  for (const [way, go] of Object.entries(WAYS)) {
    t.test(`HTTP/1.1 clients that ${way} within their request leave nothing, on every route`, async (t) => {
      const whole = ofEachKind()
      // within the request line, the name and the value of a header, before the last line break, within a body
      for (const part of [0, 3, 9, 20, 24, -1]) {
        const sockets = await clients(t, whole.map((request) => request.slice(0, part)))
        await until('all sockets to be connected', () => chaos.sockets.size === 1 + whole.length)
        await turn()
        for (const socket of sockets) go(socket)
        await until('all connections to be closed', () => chaos.sockets.size === 1)
      }
      t.equal(chaos.otherStreams, 0)
      await chaos.check(t, `${way} within the request`)
    })

    t.test(`HTTP/1.1 clients that ${way} while a hook or callback is pending leave nothing`, async (t) => {
      for (const [where, kinds] of HOLDS) {
        const requests = kinds.flatMap((kind) => Array<string>(EACH).fill(requestFor(kind, { 'x-hold': where })))
        const sockets = await clients(t, requests)
        await until(`all requests to wait in ${where}`, () => chaos.gate.waiting === requests.length)
        // half of them while the hook is pending, half in the tick in which it continues
        const [early, late] = [sockets.slice(0, sockets.length / 2), sockets.slice(sockets.length / 2)]
        for (const socket of early) go(socket)
        await until('the first half to be gone', () => chaos.sockets.size === 1 + late.length)
        chaos.gate.open()
        for (const socket of late) go(socket)
        await chaos.check(t, `${way} in ${where}`)
      }
    })

    t.test(`HTTP/1.1 clients that ${way} in the tick in which their streams open, or after events, leave nothing`, async (t) => {
      const before = chaos.opened
      const requests = ofEachKind()
      let sockets: Socket[] = []
      chaos.onOpen = () => { for (const socket of sockets) go(socket) }
      sockets = await clients(t, requests)
      await until('all connections to be closed', () => chaos.sockets.size === 1)
      await chaos.check(t, `${way} at the opening`)
      t.ok(chaos.opened > before)
      const readers = await clients(t, requests)
      await until('events on all streams', () => readers.every(({ text }) => /\ndata: /.test(text)))
      t.equal(chaos.otherStreams, requests.length)
      for (const reader of readers) go(reader)
      await chaos.check(t, `${way} after events`)
    })

    t.test(`HTTP/1.1 clients that ${way} without having read leave nothing`, async (t) => {
      const id = await chaos.fillLog()
      const requests = ['/flood', '/big', '/replay', '/ends'].flatMap((path) => Array<string>(EACH).fill(requestFor(path, { 'last-event-id': id })))
      const before = chaos.opened
      const sockets = await clients(t, requests, false)
      await until('all streams to be open', () => chaos.opened === before + requests.length)
      await until('the streams that have not ended to be slow', () => chaos.otherStreams === 3 * EACH && chaos.slowStreams === 3 * EACH)
      t.equal(chaos.sockets.size, 1 + requests.length, 'streams that have ended also wait for their clients')
      for (const socket of sockets) go(socket)
      await chaos.check(t, `${way} unread`)
    })
  }

  t.test('HTTP/1.1 clients that half-close their connection leave nothing', async (t) => {
    const requests = ofEachKind()
    const sockets = await clients(t, requests)
    await until('events on all streams', () => sockets.every(({ text }) => /\ndata: /.test(text)))
    for (const socket of sockets) socket.end()
    await chaos.check(t, 'half-closed while they read')
    const unread = await clients(t, ['/flood', '/big', '/replay', '/ends'].map((path) => requestFor(path)), false)
    await until('streams to be slow', () => chaos.slowStreams >= 2)
    for (const socket of unread) socket.end()
    await wait(50)
    for (const socket of unread) socket.resume()
    await chaos.check(t, 'half-closed while they did not read')
    const atOnce = await clients(t, requests)
    for (const socket of atOnce) socket.end()
    await chaos.check(t, 'half-closed with the request')
  })

  t.test('pipelined requests are answered in order, and leave nothing when their client disconnects', async (t) => {
    for (const kind of KINDS) {
      const streams = new Set<{ close (): void }>()
      chaos.onOpen = (stream) => { streams.add(stream) }
      const socket = await connectSocket(t, chaos.port)
      socket.write(requestFor(kind) + requestFor('/json'))
      await until('the stream', () => streams.size === 1 && /\ndata: /.test(socket.text))
      // written in pieces while the first stream is open
      for (const piece of [requestFor('/post').slice(0, 60), requestFor('/post').slice(60)]) {
        socket.write(piece)
        await turn()
      }
      await until('the second stream', () => streams.size === 2)
      t.notMatch(socket.text, 'plain')
      for (const stream of streams) stream.close()
      await until('all responses', () => socket.text.split('HTTP/1.1 200').length === 4 && socket.text.endsWith('0\r\n\r\n'))
      t.match(socket.text, /0\r\n\r\nHTTP[^]*\{"plain":true\}HTTP[^]*data: \{"prompt":"why"\}/, kind)
      // on the same connection, after all of that
      socket.write(requestFor('/json'))
      await until('one more response', () => socket.text.split('{"plain":true}').length === 3)
      socket.write(requestFor('/items'))
      await until('one more stream', () => /data: one\n\ndata: two\n\n\r\n0\r\n\r\n$/.test(socket.text))
      socket.write(requestFor(kind) + requestFor(kind) + requestFor('/json') + requestFor('/items'))
      await until('all pipelined requests', () => streams.size === 6)
      if (kind === '/reply') socket.destroy()
      else socket.resetAndDestroy()
      await chaos.check(t, `queued behind ${kind}`)
    }
  })

  t.test('pipelined requests held by a hook or callback behind an open stream leave nothing when their client disconnects', async (t) => {
    for (const [where, kinds] of HOLDS) {
      const sockets = await clients(t, kinds.map((kind) => requestFor('/interval') + requestFor(kind, { 'x-hold': where })))
      await until(`all requests to wait in ${where}`, () => chaos.gate.waiting === kinds.length && sockets.every(({ text }) => /\ndata: /.test(text)))
      for (const socket of sockets) socket.resetAndDestroy()
      await until('the connections to be closed', () => chaos.sockets.size === 1)
      chaos.gate.open()
      await chaos.check(t, `held in ${where} behind another`)
    }
  })

  t.test('bytes that are not a request, sent while a stream is open, leave nothing', async (t) => {
    for (const garbage of ['garbage\r\n\r\n', '\0\0\0\0', '{"body":"that nobody waits for"}', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', `GET /${'x'.repeat(100_000)}`]) {
      const sockets = await clients(t, ofEachKind())
      await until('events on all streams', () => sockets.every(({ text }) => /\ndata: /.test(text)))
      for (const socket of sockets) socket.write(garbage)
      await chaos.check(t, JSON.stringify(garbage.slice(0, 20)))
    }
  })

  t.test('requests that arrive byte by byte are answered', async (t) => {
    const requests = KINDS.map((kind) => requestFor(kind))
    const sockets = await Promise.all(requests.map(() => connectSocket(t, chaos.port)))
    for (const socket of sockets) socket.setNoDelay()
    for (let i = 0; i < Math.max(...requests.map(({ length }) => length)); i++) {
      for (const [n, socket] of sockets.entries()) if (requests[n]?.[i]) socket.write(requests[n][i] ?? '')
      await turn()
    }
    await until('events on all streams', () => sockets.every(({ text }) => /\ndata: /.test(text)))
    t.match(sockets.map(({ text }) => text), Array(KINDS.length).fill(/^HTTP\/1.1 200/))
    for (const socket of sockets) socket.destroy()
    await chaos.check(t, 'byte by byte')
  })

  t.test('requests whose headers never end are answered with 408 and leave nothing', async (t) => {
    const { headersTimeout } = chaos.app.server
    // for this test only, because a busy machine may take longer to read whole headers
    chaos.app.server.headersTimeout = 1_000
    t.teardown(() => { chaos.app.server.headersTimeout = headersTimeout })
    const sockets = await clients(t, ofEachKind().map((request) => request.slice(0, 30)))
    let n = 0
    const timer = setInterval(() => { for (const socket of sockets) socket.write(`x-${n++}: y\r\n`) }, 20)
    await until('Node to refuse the requests', () => chaos.sockets.size === 1).finally(() => clearInterval(timer))
    t.match(sockets[0]?.text, /^HTTP\/1.1 408/)
    await chaos.check(t, 'headers without an end')
  })

  t.test('limits apply to clients that read one byte at a time, and other clients are not affected', async (t) => {
    const before = chaos.app.sse.stats()
    const taken = new Map<Socket, number>()
    const readers = ['/drops', '/topics', '/replay', '/flood', '/big'].map((path) => {
      const socket: Socket = connect({
        host: '127.0.0.1',
        port: chaos.port,
        onread: {
          buffer: Buffer.alloc(1),
          callback: () => {
            taken.set(socket, (taken.get(socket) ?? 0) + 1)
            setTimeout(() => socket.resume(), 1)
            return false
          }
        }
      })
      t.teardown(() => socket.destroy())
      socket.on('error', () => {}).write(requestFor(path, path === '/replay' ? { 'last-event-id': '1-1' } : {}))
      return socket
    })
    await until('all streams to be open', () => chaos.otherStreams === readers.length)
    let most = 0
    const look = setInterval(() => { for (const { writableLength } of chaos.sockets) most = Math.max(most, writableLength) }, 1)
    await chaos.flood(200, 64_000).finally(() => clearInterval(look))
    await until('the stream with overflow: disconnect to be closed', () => chaos.app.sse.stats().closed.overflow === before.closed.overflow + 1)
    t.equal(chaos.otherStreams, readers.length - 1, 'the other streams stay open')
    t.ok(chaos.app.sse.stats().dropped > before.dropped)
    // the single event of /big exceeds the limit by its size
    t.ok(most < 12_000_000 + 200_000, `at most ${most} bytes waited for one client`)
    t.ok([...taken.values()].every((bytes) => bytes > 10), `${[...taken.values()]} bytes were read`)
    for (const reader of readers) reader.destroy()
    await chaos.check(t, 'a byte at a time')
  })

  t.test('clients that vanish without closing their connection are disconnected by the limits', async (t) => {
    const proxy = createServer()
    const lines: Socket[] = []
    proxy.on('connection', (near) => {
      const far = connect({ host: '127.0.0.1', port: chaos.port })
      for (const socket of [near, far]) lines.push(socket.on('error', () => {}))
      near.pipe(far).pipe(near)
    })
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => {
      proxy.close()
      for (const line of lines) line.destroy()
    })
    const paths = ['/topics', '/drops', '/flood', '/big', '/lifetime', '/ends', ...KINDS]
    const sockets: Socket[] = []
    let closed = 0
    const before = chaos.app.sse.stats()
    chaos.onOpen = ({ signal }) => signal.addEventListener('abort', () => { closed++ })
    for (const path of paths) {
      const socket = await connectSocket(t, (proxy.address() as AddressInfo).port)
      sockets.push(socket)
      socket.write(requestFor(path))
    }
    await until('all streams to be open', () => chaos.app.sse.stats().opened >= before.opened + paths.length)
    for (const line of lines) {
      line.unpipe()
      line.pause()
    }
    await chaos.flood(200, 64_000)
    await until('the limits to close streams', () => {
      const { overflow, lifetime } = chaos.app.sse.stats().closed
      // two streams with topics and one of reply.sse()
      return overflow - before.closed.overflow === 3 && lifetime - before.closed.lifetime === 1
    })
    t.equal(closed, 5)
    await until('the connections of closed streams to be closed', () => chaos.sockets.size === 1 + paths.length - 5, 7_000)
    for (const socket of sockets) socket.destroy()
    for (const line of lines) line.destroy()
    await chaos.check(t, 'half-open')
  })

  t.test('an app continues after all HTTP/1.1 faults, and closes at once', (t) => chaos.end(t))
})

for (const [way, go] of Object.entries(WAYS)) {
  test(`HTTP/1.1 clients that ${way} while the app closes do not delay it`, async (t) => {
    for (const when of ['at once', 'while streams are closing'] as const) {
      const chaos = await ChaosApp.start(t, server, readWitness)
      const id = await chaos.fillLog()
      const held = ['preHandler', 'onSend', 'onConnect', 'source', 'topics'].map((where) => requestFor(where === 'source' ? '/first' : '/topics', { 'x-hold': where }))
      const waiting = await connectClients(t, chaos.port, held)
      await until('all requests to wait', () => chaos.gate.waiting === held.length)
      const readers = await connectClients(t, chaos.port, KINDS.map((kind) => requestFor(kind)))
      await until('events on all streams', () => readers.every(({ text }) => /\ndata: /.test(text)))
      const unread = await connectClients(t, chaos.port, ['/flood', '/big', '/replay', '/ends'].map((path) => requestFor(path, { 'last-event-id': id })), false)
      await until('the streams that are not read to be slow', () => chaos.slowStreams === 3)
      await chaos.close(t, async () => {
        if (when !== 'at once') await until('the streams to be closing', () => chaos.hub.streams.size === 0)
        for (const socket of [...unread, ...readers, ...waiting]) go(socket)
        chaos.gate.open()
      })
    }
  })
}
