import type { OutgoingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type Client, connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

/** The header by which EventSource asks for a stream. */
export const ACCEPT = { accept: 'text/event-stream' }

/** Starts a proxy in front of an app's port. Returns its port. */
export type Start = (t: Test, appPort: number) => Promise<number>

/** Starts an app behind a proxy, with a route for each kind of stream. */
export async function startApp (t: Test): Promise<{ app: FastifyInstance, appPort: number }> {
  const app = await makeApp(t, { heartbeat: 15_000, onError: () => {} }, { trustProxy: '127.0.0.1', forceCloseConnections: true })
  app.sseRoute('/', { topics: ['a'] })
  app.sseRoute('/heartbeat', { topics: ['a'], heartbeat: 300 })
  app.sseRoute('/tick', { interval: 300, payload: () => 'tick' })
  app.sseRoute('/big', { interval: 300, payload: () => `tick${'x'.repeat(1_000)}` })
  app.sseRoute('/transformable', { interval: 300, payload: () => 'tick', headers: { 'cache-control': 'no-cache' } })
  app.sseRoute('/silent', { interval: 2_000, immediate: false, payload: () => 'tick' })
  app.sseRoute('/late', { openOn: 'first-event', source: async function * () { await delay(1_000); yield 'late' } })
  app.sseRoute('/fails', { source: async function * () { yield 'one'; await delay(100); throw new Error('on purpose') } })
  app.sseRoute('/ends', { source: () => ['one'] })
  app.sseRoute('/ip', { source: ({ ip }) => [ip] })
  return { app, appPort: await listen(app) }
}

/** Opens a stream as EventSource does. */
export function openStream (t: Test, port: number, path: string, headers: OutgoingHttpHeaders = {}): Promise<Client> {
  return open(t, port, path, { headers: { ...ACCEPT, ...headers } })
}

/** Publishes events, one every 50 ms, and returns the median of their delays in ms. */
export async function medianDelay (app: FastifyInstance, client: Client): Promise<number> {
  const delays: number[] = []
  for (let i = 0; i < 21; i++) {
    const start = performance.now()
    await app.sse.publish('a', `event ${i}`)
    await client.until(`data: event ${i}\n\n`)
    delays.push(performance.now() - start)
    await delay(50)
  }
  return delays.sort((a, b) => a - b)[10] ?? NaN
}

/** Opens a stream without events, disconnects, and returns the time until the app notices, or null after 1.5 s. */
export async function timeToNotice (t: Test, app: FastifyInstance, port: number, path: string): Promise<number | null> {
  const client = await openStream(t, port, path)
  await client.until('\n')
  await until('the stream to be the only one', () => app.sse.streams.size === 1)
  const start = performance.now()
  client.disconnect()
  while (app.sse.streams.size > 0) {
    if (performance.now() - start > 1_500) return null
    await delay(5)
  }
  return performance.now() - start
}

/** Opens a stream of 100 MB that the client does not read, and returns the bytes that the app has sent when it waits. */
export async function sentToPaused (t: Test, start: Start): Promise<number> {
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  let sent = 0
  app.sseRoute('/', { source: function * () { for (; sent < 100e6; sent += 5_000) yield 'x'.repeat(5_000) } })
  const socket = await connectSocket(t, await start(t, await listen(app)))
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n')
  for (let last = -1; last <= 0 || sent > last;) {
    last = sent
    await delay(500)
  }
  socket.destroy()
  return sent
}

/** Publishes events until all streams are closed. */
export async function publishUntilClosed (app: FastifyInstance): Promise<void> {
  await until('all streams to be closed', async () => {
    await app.sse.publish('a', 'x')
    await delay(50)
    return app.sse.streams.size === 0
  })
}
