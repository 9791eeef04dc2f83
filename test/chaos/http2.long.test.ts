import { once } from 'node:events'
import { get as getSecure } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type SessionOptions } from 'node:http2'
import { connect as connectPlain, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as connectSecure, type TLSSocket } from 'node:tls'
import { type Test, test } from 'tap'
import { cert, key } from '../helpers/certificate.js'
import { connectSocket, until } from '../helpers/app.js'
import { ChaosApp, KINDS } from './app.js'
import { BODY, HOLDS, requestFor } from './requests.js'

const trust = { ca: cert, servername: 'localhost' }

/** A request of a client, with the text it has received. */
type ClientStream = ClientHttp2Stream & { text: string }

async function readWitness (port: number, path: string): Promise<ClientHttp2Stream> {
  const stream = connect(`http://127.0.0.1:${port}`).request({ ':path': path })
  await once(stream, 'response')
  return stream
}

async function connectSession (t: Test, { port }: ChaosApp, options: SessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`, options)
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'connect')
  return session
}

function requestStream (session: ClientHttp2Session, path: string, headers: Record<string, string> = {}, reads = true): ClientStream {
  const post = path === '/post'
  const stream = Object.assign(session.request({ ':path': path, ...(post ? { ':method': 'POST', 'content-type': 'application/json' } : {}), ...headers }), { text: '' })
  if (post) stream.end(BODY)
  stream.on('error', () => {}).setEncoding('utf8')
  if (reads) stream.on('data', (text: string) => { stream.text += text })
  return stream
}

const RESETS = { CANCEL: constants.NGHTTP2_CANCEL, NO_ERROR: constants.NGHTTP2_NO_ERROR, INTERNAL_ERROR: constants.NGHTTP2_INTERNAL_ERROR }

test('over HTTP/2', async (t) => {
  // Node does not clear the timeout of a session whose connection is lost, and refuses streams of a session that holds 10 MB
  const chaos = await ChaosApp.start(t, { http2: true, http2SessionTimeout: 0 }, readWitness, 500_000)

  for (const [code, number] of Object.entries(RESETS)) {
    t.test(`HTTP/2 streams that are reset with ${code} while a hook or callback is pending leave nothing, and the others of their session continue`, async (t) => {
      for (const [where, kinds] of HOLDS) {
        const session = await connectSession(t, chaos)
        const asked = kinds.flatMap((kind) => [kind, kind]).map((kind) => requestStream(session, kind, { 'x-hold': where }))
        await until(`all requests to wait in ${where}`, () => chaos.gate.waiting === asked.length)
        const remaining = asked.filter((_, i) => i % 2 === 0)
        for (const stream of asked) if (!remaining.includes(stream)) stream.close(number)
        await until('the reset streams to be gone', () => asked.every((stream) => remaining.includes(stream) || stream.destroyed))
        chaos.gate.open()
        await until('events on the other streams', () => remaining.every(({ text }) => /data: /.test(text)))
        await until('the other streams to be alone', () => chaos.otherStreams === remaining.length)
        for (const stream of remaining) stream.close(number)
        await until('all streams to be closed', () => chaos.otherStreams === 0)
        session.destroy()
        await chaos.check(t, `${code} in ${where}`)
      }
    })

    t.test(`HTTP/2 streams that are reset with ${code} at their opening, after events, or unread leave nothing`, async (t) => {
      const id = await chaos.fillLog()
      const session = await connectSession(t, chaos)
      let asked: ClientStream[] = []
      const before = chaos.opened
      chaos.onOpen = () => { for (const stream of asked) stream.close(number) }
      asked = KINDS.map((kind) => requestStream(session, kind))
      await until('all streams to be closed', () => asked.every(({ destroyed }) => destroyed))
      chaos.onOpen = () => {}
      t.ok(chaos.opened > before)
      asked = KINDS.map((kind) => requestStream(session, kind))
      const unread = ['/flood', '/big', '/replay', '/ends'].map((path) => requestStream(session, path, { 'last-event-id': id }, false))
      await until('events on the streams that are read', () => asked.every(({ text }) => /data: /.test(text)))
      await until('the streams that are not read to be slow', () => chaos.slowStreams === 3 && chaos.otherStreams === KINDS.length + 3)
      // Node keeps a stream that has ended and is reset without an error until its close timeout of 5 s
      for (const [i, stream] of unread.entries()) stream.close(i === 3 && code === 'NO_ERROR' ? constants.NGHTTP2_CANCEL : number)
      await until('the reset streams to be closed', () => chaos.otherStreams === KINDS.length)
      for (const stream of asked) stream.text = ''
      await until('events on the other streams', () => asked.every(({ text }) => /data: /.test(text)))
      for (const stream of asked) stream.close(number)
      await until('all streams to be closed', () => chaos.otherStreams === 0)
      session.destroy()
      await chaos.check(t, `${code} in a stream`)
    })
  }

  t.test('limits apply to an HTTP/2 client that opens no flow control window, or does not extend it', async (t) => {
    const before = chaos.app.sse.stats()
    const shut = await connectSession(t, chaos, { settings: { initialWindowSize: 0 } })
    const paths = ['/topics', '/drops', '/flood', '/big', '/lifetime', '/ends', '/reply', '/interval']
    const asked = paths.map((path) => requestStream(shut, path))
    const stops = await connectSession(t, chaos)
    asked.push(...paths.map((path) => requestStream(stops, path, {}, false)))
    await until('all streams to be open', () => chaos.app.sse.stats().opened === before.opened + asked.length)
    await chaos.flood(200, 10_000)
    await until('the limits to close streams', () => {
      const { overflow, lifetime } = chaos.app.sse.stats().closed
      return overflow === before.closed.overflow + 4 && lifetime === before.closed.lifetime + 2
    })
    t.ok(chaos.app.sse.stats().dropped > before.dropped)
    t.equal(asked.slice(0, paths.length).map(({ text }) => text).join(''), '', 'no event arrived')
    shut.destroy()
    stops.destroy()
    await chaos.check(t, 'no window')
  })

  t.test('HTTP/2 sessions that end by GOAWAY, destroy or a connection reset leave nothing', async (t) => {
    const ends: Record<string, (session: ClientHttp2Session) => void> = {
      'GOAWAY with an error': (session) => session.goaway(constants.NGHTTP2_PROTOCOL_ERROR),
      'GOAWAY, then the streams are reset': (session) => {
        session.goaway(constants.NGHTTP2_NO_ERROR)
        setImmediate(() => session.destroy())
      },
      destroyed: (session) => session.destroy(),
      'destroyed with an error': (session) => session.destroy(new Error('gone'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
    }
    for (const [how, end] of Object.entries(ends)) {
      for (const hold of ['', 'preHandler', 'onSend']) {
        const session = await connectSession(t, chaos)
        const asked = [...KINDS, '/flood', '/big', '/ends'].map((kind, i) => requestStream(session, kind, { 'x-hold': hold }, i < KINDS.length))
        if (hold === '') await until('events on all streams', () => asked.every(({ text }, i) => i >= KINDS.length || /data: /.test(text)))
        else await until('all requests to wait', () => chaos.gate.waiting === asked.length)
        end(session)
        await until('the connection to be gone', () => chaos.sockets.size === 1)
        chaos.gate.open()
        await chaos.check(t, `${how} ${hold}`)
      }
    }
    const raw = connectPlain({ host: '127.0.0.1', port: chaos.port })
    const session = connect(`http://127.0.0.1:${chaos.port}`, { createConnection: () => raw })
    session.on('error', () => {})
    const asked = KINDS.map((kind) => requestStream(session, kind))
    await until('events on all streams', () => asked.every(({ text }) => /data: /.test(text)))
    raw.resetAndDestroy()
    await chaos.check(t, 'reset')
  })

  t.test('1,000 HTTP/2 streams that are requested and reset at once leave nothing', async (t) => {
    const before = chaos.opened
    for (let round = 0; round < 4; round++) {
      const session = await connectSession(t, chaos)
      for (let i = 0; i < 10; i++) {
        const asked = Array.from({ length: 25 }, (_, n) => requestStream(session, KINDS[n % KINDS.length] ?? ''))
        // reset before they are sent, before they are answered, or afterwards
        for (let n = i % 4; n > 0; n--) await turn()
        for (const stream of asked) stream.close(constants.NGHTTP2_CANCEL)
      }
      session.close()
      await until('the session to be closed', () => session.destroyed)
    }
    await chaos.check(t, 'rapid reset')
    t.comment(`${chaos.opened - before} of them opened`)
  })

  t.test('bytes that are not HTTP/2 leave nothing', async (t) => {
    for (const bytes of ['GET /topics HTTP/1.1\r\nhost: x\r\n\r\n', '\0\0\0\0', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0garbage']) {
      const socket = await connectSocket(t, chaos.port)
      socket.write(bytes)
      await turn()
      socket.resetAndDestroy()
    }
    await chaos.check(t, 'no HTTP/2')
  })

  t.test('an app continues after all HTTP/2 faults, and closes at once', (t) => chaos.end(t))
})

test('HTTP/2 streams and sessions that end while the app closes do not delay it', async (t) => {
  for (const when of ['at once', 'while streams are closing'] as const) {
    const chaos = await ChaosApp.start(t, { http2: true, http2SessionTimeout: 0 }, readWitness, 500_000)
    const id = await chaos.fillLog()
    const sessions = await Promise.all(Array.from({ length: 3 }, () => connectSession(t, chaos)))
    const held = sessions.flatMap((session) => HOLDS.map(([where, [kind]]) => requestStream(session, kind, { 'x-hold': where })))
    await until('all requests to wait', () => chaos.gate.waiting === held.length)
    const readers = sessions.flatMap((session) => KINDS.map((kind) => requestStream(session, kind)))
    await until('events on all streams', () => readers.every(({ text }) => /data: /.test(text)))
    const unread = sessions.flatMap((session) => ['/flood', '/big', '/replay', '/ends'].map((path) => requestStream(session, path, { 'last-event-id': id }, false)))
    await until('the streams that are not read to be slow', () => chaos.slowStreams === 3 * sessions.length)
    await chaos.close(t, async () => {
      if (when !== 'at once') await until('the streams to be closing', () => chaos.hub.streams.size === 0)
      const [resets, goesAway, lost] = sessions
      for (const stream of [...unread, ...readers, ...held]) if (stream.session === resets) stream.close(constants.NGHTTP2_CANCEL)
      goesAway?.goaway(constants.NGHTTP2_PROTOCOL_ERROR)
      lost?.destroy()
      chaos.gate.open()
    })
  }
})

test('over TLS', async (t) => {
  const chaos = await ChaosApp.start(t, { https: { key, cert, handshakeTimeout: 500 } }, async (port, path) => {
    const [response] = await once(getSecure({ host: '127.0.0.1', port, path, agent: false, ...trust }), 'response') as [IncomingMessage]
    return response
  })

  async function clients (t: Test, requests: string[], reads = true): Promise<{ secure: TLSSocket & { text: string }, plain: Socket }[]> {
    return Promise.all(requests.map(async (request) => {
      const plain = await connectSocket(t, chaos.port)
      plain.removeAllListeners('data')
      const secure = Object.assign(connectSecure({ socket: plain, ...trust }), { text: '' })
      secure.on('error', () => {})
      await once(secure, 'secureConnect')
      if (reads) secure.on('data', (data) => { secure.text += String(data) })
      secure.write(request)
      return { secure, plain }
    }))
  }

  t.test('TLS handshakes that are incomplete or invalid leave nothing', async (t) => {
    // the first bytes of a ClientHello
    const hello = Buffer.from('16030100c8010000c40303', 'hex')
    const sockets = await Promise.all(Array.from({ length: 8 }, () => connectSocket(t, chaos.port)))
    for (const [i, socket] of sockets.entries()) if (i % 2 === 0) socket.write(hello.subarray(0, 1 + i))
    await until('all sockets to be connected', () => chaos.sockets.size === 1 + sockets.length)
    for (const socket of sockets.slice(0, 4)) socket.resetAndDestroy()
    await until('Node to end the silent connections', () => chaos.sockets.size === 1)
    for (const bytes of [requestFor('/topics'), '\0'.repeat(100)]) {
      const socket = await connectSocket(t, chaos.port)
      socket.write(bytes)
      await until('the connection to be refused', () => socket.destroyed || socket.readableEnded)
    }
    await chaos.check(t, 'no handshake')
  })

  const ways: Record<string, (client: { secure: TLSSocket, plain: Socket }) => void> = {
    'reset the connection': ({ plain }) => { plain.resetAndDestroy() },
    'end the connection without close_notify': ({ plain }) => { plain.end() },
    'send close_notify': ({ secure }) => { secure.end() },
    'destroy their TLS socket': ({ secure }) => { secure.destroy() }
  }
  for (const [way, go] of Object.entries(ways)) {
    t.test(`TLS clients that ${way} leave nothing`, async (t) => {
      for (const hold of ['preHandler', 'onSend']) {
        const waiting = await clients(t, KINDS.map((kind) => requestFor(kind, { 'x-hold': hold })))
        await until('all requests to wait', () => chaos.gate.waiting === KINDS.length)
        for (const client of waiting) go(client)
        await turn()
        chaos.gate.open()
        await chaos.check(t, `${way} in ${hold}`)
      }
      const readers = await clients(t, KINDS.map((kind) => requestFor(kind)))
      await until('events on all streams', () => readers.every(({ secure }) => /data: /.test(secure.text)))
      for (const reader of readers) go(reader)
      await chaos.check(t, `${way} after events`)
      const unread = await clients(t, ['/flood', '/big', '/ends'].map((path) => requestFor(path)), false)
      await until('the streams that have not ended to be slow', () => chaos.otherStreams === 2 && chaos.slowStreams === 2)
      for (const client of unread) go(client)
      await turn()
      for (const { secure } of unread) secure.resume()
      await chaos.check(t, `${way} unread`)
    })
  }

  t.test('an app continues after all TLS faults, and closes at once', (t) => chaos.end(t))
})
