import { once } from 'node:events'
import { get as getSecure } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type SessionOptions } from 'node:http2'
import { connect as connectPlain, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as connectSecure, type TLSSocket } from 'node:tls'
import { type Test, test } from 'tap'
import { cert, key } from '../helpers/certificate.js'
import { dial, until } from '../helpers/app.js'
import { ChaosApp, KINDS } from './app.js'
import { BODY, HOLDS, requestFor } from './requests.js'

const trust = { ca: cert, servername: 'localhost' }

/** A client's stream, with what it was sent. */
type Asked = ClientHttp2Stream & { text: string }

async function readWitness (port: number, path: string): Promise<ClientHttp2Stream> {
  const stream = connect(`http://127.0.0.1:${port}`).request({ ':path': path })
  await once(stream, 'response')
  return stream
}

async function join (t: Test, { port }: ChaosApp, options: SessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`, options)
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'connect')
  return session
}

function ask (session: ClientHttp2Session, path: string, headers: Record<string, string> = {}, reads = true): Asked {
  const post = path === '/post'
  const stream = Object.assign(session.request({ ':path': path, ...(post ? { ':method': 'POST', 'content-type': 'application/json' } : {}), ...headers }), { text: '' })
  if (post) stream.end(BODY)
  stream.on('error', () => {}).setEncoding('utf8')
  if (reads) stream.on('data', (text: string) => { stream.text += text })
  return stream
}

const RESETS = { CANCEL: constants.NGHTTP2_CANCEL, NO_ERROR: constants.NGHTTP2_NO_ERROR, INTERNAL_ERROR: constants.NGHTTP2_INTERNAL_ERROR }

test('over HTTP/2', async (t) => {
  // Node does not clear a session's timeout when its connection is lost; it refuses streams of a session that holds 10 MB
  const chaos = await ChaosApp.start(t, { http2: true, http2SessionTimeout: 0 }, readWitness, 500_000)

  for (const [code, number] of Object.entries(RESETS)) {
    t.test(`streams that are reset with ${code} while a hook or callback waits, the others of their session go on`, async (t) => {
      for (const [where, kinds] of HOLDS) {
        const session = await join(t, chaos)
        const asked = kinds.flatMap((kind) => [kind, kind]).map((kind) => ask(session, kind, { 'x-hold': where }))
        await until(`all wait in ${where}`, () => chaos.gate.waiting === asked.length)
        const goOn = asked.filter((_, i) => i % 2 === 0)
        for (const stream of asked) if (!goOn.includes(stream)) stream.close(number)
        await until('they are gone', () => asked.every((stream) => goOn.includes(stream) || stream.destroyed))
        chaos.gate.open()
        await until('the others have events', () => goOn.every(({ text }) => /data: /.test(text)))
        await until('and are alone', () => chaos.others === goOn.length)
        for (const stream of goOn) stream.close(number)
        await until('all are gone', () => chaos.others === 0)
        session.destroy()
        await chaos.check(t, `${code} in ${where}`)
      }
    })

    t.test(`streams that are reset with ${code} as they open, after events, and unread`, async (t) => {
      const id = await chaos.fillLog()
      const session = await join(t, chaos)
      let asked: Asked[] = []
      const before = chaos.opened
      chaos.met = () => { for (const stream of asked) stream.close(number) }
      asked = KINDS.map((kind) => ask(session, kind))
      await until('all are gone', () => asked.every(({ destroyed }) => destroyed))
      chaos.met = () => {}
      t.ok(chaos.opened > before)
      asked = KINDS.map((kind) => ask(session, kind))
      const unread = ['/flood', '/big', '/replay', '/ends'].map((path) => ask(session, path, { 'last-event-id': id }, false))
      await until('those that are read have events', () => asked.every(({ text }) => /data: /.test(text)))
      await until('those that are not are behind', () => chaos.congested === 3 && chaos.others === KINDS.length + 3)
      // one that is ended already, and reset without an error, Node keeps until it is cut after its 5 s
      for (const [i, stream] of unread.entries()) stream.close(i === 3 && code === 'NO_ERROR' ? constants.NGHTTP2_CANCEL : number)
      await until('they are gone', () => chaos.others === KINDS.length)
      for (const stream of asked) stream.text = ''
      await until('the others go on', () => asked.every(({ text }) => /data: /.test(text)))
      for (const stream of asked) stream.close(number)
      await until('all are gone', () => chaos.others === 0)
      session.destroy()
      await chaos.check(t, `${code} in a stream`)
    })
  }

  t.test('a client that opens no window, or opens it no further', async (t) => {
    const before = chaos.app.sse.stats()
    const shut = await join(t, chaos, { settings: { initialWindowSize: 0 } })
    const paths = ['/topics', '/drops', '/flood', '/big', '/lifetime', '/ends', '/hand', '/interval']
    const asked = paths.map((path) => ask(shut, path))
    const stops = await join(t, chaos)
    asked.push(...paths.map((path) => ask(stops, path, {}, false)))
    await until('all have opened', () => chaos.app.sse.stats().opened === before.opened + asked.length)
    await chaos.flood(200, 10_000)
    await until('what limits there are act', () => {
      const { overflow, lifetime } = chaos.app.sse.stats().closed
      return overflow === before.closed.overflow + 4 && lifetime === before.closed.lifetime + 2
    })
    t.ok(chaos.app.sse.stats().dropped > before.dropped)
    t.equal(asked.slice(0, paths.length).map(({ text }) => text).join(''), '', 'nothing came through')
    shut.destroy()
    stops.destroy()
    await chaos.check(t, 'no window')
  })

  t.test('sessions that end: GOAWAY with and without an error, destroyed, their connection reset', async (t) => {
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
        const session = await join(t, chaos)
        const asked = [...KINDS, '/flood', '/big', '/ends'].map((kind, i) => ask(session, kind, { 'x-hold': hold }, i < KINDS.length))
        if (hold === '') await until('all have events', () => asked.every(({ text }, i) => i >= KINDS.length || /data: /.test(text)))
        else await until('all wait', () => chaos.gate.waiting === asked.length)
        end(session)
        await until('its connection is gone', () => chaos.sockets.size === 1)
        chaos.gate.open()
        await chaos.check(t, `${how} ${hold}`)
      }
    }
    const raw = connectPlain({ host: '127.0.0.1', port: chaos.port })
    const session = connect(`http://127.0.0.1:${chaos.port}`, { createConnection: () => raw })
    session.on('error', () => {})
    const asked = KINDS.map((kind) => ask(session, kind))
    await until('all have events', () => asked.every(({ text }) => /data: /.test(text)))
    raw.resetAndDestroy()
    await chaos.check(t, 'reset')
  })

  t.test('streams that are asked for and reset at once, 1,000 of them', async (t) => {
    const before = chaos.opened
    for (let round = 0; round < 4; round++) {
      const session = await join(t, chaos)
      for (let i = 0; i < 10; i++) {
        const asked = Array.from({ length: 25 }, (_, n) => ask(session, KINDS[n % KINDS.length] ?? ''))
        // some before they are sent, some before they are answered, some after
        for (let n = i % 4; n > 0; n--) await turn()
        for (const stream of asked) stream.close(constants.NGHTTP2_CANCEL)
      }
      session.close()
      await until('the session is over', () => session.destroyed)
    }
    await chaos.check(t, 'rapid reset')
    t.comment(`${chaos.opened - before} of them opened`)
  })

  t.test('what is no HTTP/2', async (t) => {
    for (const bytes of ['GET /topics HTTP/1.1\r\nhost: x\r\n\r\n', '\0\0\0\0', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0garbage']) {
      const socket = await dial(t, chaos.port)
      socket.write(bytes)
      await turn()
      socket.resetAndDestroy()
    }
    await chaos.check(t, 'no HTTP/2')
  })

  t.test('the app goes on, and closes at once', (t) => chaos.end(t))
})

test('streams are reset, and sessions lost, while the app closes', async (t) => {
  for (const when of ['at once', 'when their ends are on the way'] as const) {
    const chaos = await ChaosApp.start(t, { http2: true, http2SessionTimeout: 0 }, readWitness, 500_000)
    const id = await chaos.fillLog()
    const sessions = await Promise.all(Array.from({ length: 3 }, () => join(t, chaos)))
    const held = sessions.flatMap((session) => HOLDS.map(([where, [kind]]) => ask(session, kind, { 'x-hold': where })))
    await until('all wait', () => chaos.gate.waiting === held.length)
    const readers = sessions.flatMap((session) => KINDS.map((kind) => ask(session, kind)))
    await until('all have events', () => readers.every(({ text }) => /data: /.test(text)))
    const unread = sessions.flatMap((session) => ['/flood', '/big', '/replay', '/ends'].map((path) => ask(session, path, { 'last-event-id': id }, false)))
    await until('those that do not read are behind', () => chaos.congested === 3 * sessions.length)
    await chaos.close(t, async () => {
      if (when !== 'at once') await until('their ends are on the way', () => chaos.hub.streams.size === 0)
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
      const plain = await dial(t, chaos.port)
      plain.removeAllListeners('data')
      const secure = Object.assign(connectSecure({ socket: plain, ...trust }), { text: '' })
      secure.on('error', () => {})
      await once(secure, 'secureConnect')
      if (reads) secure.on('data', (data) => { secure.text += String(data) })
      secure.write(request)
      return { secure, plain }
    }))
  }

  t.test('handshakes that are not completed, or are none', async (t) => {
    // how a ClientHello begins
    const hello = Buffer.from('16030100c8010000c40303', 'hex')
    const sockets = await Promise.all(Array.from({ length: 8 }, () => dial(t, chaos.port)))
    for (const [i, socket] of sockets.entries()) if (i % 2 === 0) socket.write(hello.subarray(0, 1 + i))
    await until('all are connected', () => chaos.sockets.size === 1 + sockets.length)
    for (const socket of sockets.slice(0, 4)) socket.resetAndDestroy()
    await until('Node ends those that stay silent', () => chaos.sockets.size === 1)
    for (const bytes of [requestFor('/topics'), '\0'.repeat(100)]) {
      const socket = await dial(t, chaos.port)
      socket.write(bytes)
      await until('it is refused', () => socket.destroyed || socket.readableEnded)
    }
    await chaos.check(t, 'no handshake')
  })

  const ways: Record<string, (client: { secure: TLSSocket, plain: Socket }) => void> = {
    'reset the connection': ({ plain }) => { plain.resetAndDestroy() },
    'end the connection without close_notify': ({ plain }) => { plain.end() },
    'say close_notify': ({ secure }) => { secure.end() },
    'destroy theirs': ({ secure }) => { secure.destroy() }
  }
  for (const [way, go] of Object.entries(ways)) {
    t.test(`clients that ${way}`, async (t) => {
      for (const hold of ['preHandler', 'onSend']) {
        const waiting = await clients(t, KINDS.map((kind) => requestFor(kind, { 'x-hold': hold })))
        await until('all wait', () => chaos.gate.waiting === KINDS.length)
        for (const client of waiting) go(client)
        await turn()
        chaos.gate.open()
        await chaos.check(t, `${way} in ${hold}`)
      }
      const readers = await clients(t, KINDS.map((kind) => requestFor(kind)))
      await until('all have events', () => readers.every(({ secure }) => /data: /.test(secure.text)))
      for (const reader of readers) go(reader)
      await chaos.check(t, `${way} after events`)
      const unread = await clients(t, ['/flood', '/big', '/ends'].map((path) => requestFor(path)), false)
      await until('those that are not ended are behind', () => chaos.others === 2 && chaos.congested === 2)
      for (const client of unread) go(client)
      await turn()
      for (const { secure } of unread) secure.resume()
      await chaos.check(t, `${way} unread`)
    })
  }

  t.test('the app goes on, and closes at once', (t) => chaos.end(t))
})
