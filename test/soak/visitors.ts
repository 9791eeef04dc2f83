import { type Agent, get, type IncomingMessage } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { ENDING, OPEN } from '../integration/every-route.js'
import type { Random } from '../integration/random.js'

/** A route that sends as fast as it can. Its clients disconnect soon, because it leaves no time for others. */
const BUSY = '/by-hand-busy'
const POURING = ['/pours/disconnect', '/pours/drop']
const PATHS = [...OPEN, ...ENDING, ...ENDING, '/post', '/metrics']

/** Number of visits. */
export const visits = { http1: 0, http2: 0, slow: 0, kept: 0 }

/** Connects over HTTP/1.1 and disconnects in any way at any time, with or without reading. */
export async function visit (port: number, lastEventId: string, random: Random): Promise<void> {
  const path = PATHS[random(PATHS.length)] ?? ''
  const request = requestFor(path, lastEventId, random)
  visits.http1++
  const socket = await arrive(port, random(10) === 0 ? request.slice(0, random(request.length)) : request)
  if (random(4) > 0) socket.resume()
  await wait(path === BUSY ? random(20) : random(10) === 0 ? random(3_000) : random(500))
  await leave(socket, random)
}

function requestFor (path: string, lastEventId: string, random: Random): string {
  const body = path === '/post' ? '{"a":1}' : ''
  const method = body !== '' ? 'POST' : random(13) === 0 ? 'HEAD' : 'GET'
  const lines = [`${method} ${path} HTTP/1.1`, 'host: x']
  if (random(4) === 0) lines.push('x-user: somebody')
  if (random(3) === 0) lines.push(`last-event-id: ${lastEventId}`)
  if (random(20) === 0) lines.push('accept: text/html')
  if (body !== '') lines.push('content-type: application/json', `content-length: ${body.length}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

async function arrive (port: number, request: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  socket.write(request)
  return socket
}

/** Disconnects by a reset, by destroying the socket, or by a FIN after which it reads the rest. */
async function leave (socket: Socket, random: Random): Promise<void> {
  if (socket.destroyed) return
  const closed = new Promise((resolve) => { socket.on('close', resolve) })
  const way = random(3)
  if (way === 0) socket.resetAndDestroy()
  else if (way === 1) socket.destroy()
  else {
    socket.resume().end()
    await Promise.race([closed, wait(500)])
    socket.destroy()
  }
  await closed
}

/** Slow client: it does not read until it is disconnected or many events are dropped. */
export async function visitSlowly (port: number, random: Random): Promise<void> {
  visits.slow++
  const socket = await arrive(port, `GET ${POURING[random(2)]} HTTP/1.1\r\nhost: x\r\n\r\n`)
  await wait(500 + random(2_500))
  if (random(2) === 0) {
    socket.resume()
    await wait(random(1_000))
  }
  await leave(socket, random)
  await wait(random(500))
}

/**
 * Some streams on one HTTP/2 session, which are reset or not before that is over. Answers that are no event streams are read to
 * their end: Node's server keeps some sessions for ever whose client resets those, or sends a GOAWAY, also where no plugin is.
 */
export async function visitHttp2 (port: number, random: Random): Promise<void> {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {})
  await new Promise((resolve) => { session.once('connect', resolve).once('close', resolve) })
  const open: ClientHttp2Stream[] = []
  const others = Array.from({ length: 1 + random(6) }, () => {
    visits.http2++
    const path = PATHS[random(PATHS.length)] ?? ''
    const stream = session.request({ ':path': path === BUSY || path === '/post' ? '/topics' : path }).on('error', () => {})
    return new Promise<void>((resolve) => {
      // does not respond
      if (path === '/first-never') resolve()
      stream.on('close', resolve).on('response', ({ 'content-type': type = '' }) => {
        const isEventStream = type.startsWith('text/event-stream')
        if (isEventStream) {
          open.push(stream)
          resolve()
        }
        if (!isEventStream || random(4) > 0) stream.resume()
      })
    })
  })
  await wait(random(800))
  for (const stream of open) if (random(2) === 0) stream.close(random(2) === 0 ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_NO_ERROR)
  await Promise.all(others)
  await endSession(session)
  await wait(random(500))
}

async function endSession (session: ClientHttp2Session): Promise<void> {
  if (session.destroyed) return
  const closed = new Promise((resolve) => { session.on('close', resolve) })
  session.destroy()
  await closed
}

/** Requests a stream that the server ends, on a kept connection. */
export async function visitKept (port: number, agent: Agent, random: Random): Promise<void> {
  visits.kept++
  const path = ENDING[random(ENDING.length)] ?? ''
  const request = get({ host: '127.0.0.1', port, path, agent })
  // after a lost connection the next request opens another one
  await new Promise((resolve) => {
    request.on('error', resolve).on('response', (response: IncomingMessage) => { response.on('error', resolve).on('close', resolve).resume() })
  })
  await wait(random(300))
}
