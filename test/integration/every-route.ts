import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { Readable, Transform } from 'node:stream'
import type { FastifyInstance, FastifyRequest, onSendAsyncHookHandler } from 'fastify'
import type { SSEStream } from '../../lib/index.js'

/** Paths whose streams the server ends, so that a kept connection can be used again. */
export const ENDING = [
  '/source-ends', '/readable', '/reply-source', '/by-hand-ends', '/closes', '/idle', '/lifetime', '/overflows',
  '/throws', '/rejects', '/no-topic', '/first-fails', '/refused', '/refused-by-hand', '/missing'
]

/** Paths whose streams stay open or are aborted. */
export const OPEN = [
  '/topics', '/topic/a', '/later/b', '/interval', '/slow-interval', '/shared', '/shared/a', '/shared/b', '/source', '/first-event',
  '/first-never', '/by-hand', '/by-hand-busy', '/drops', '/waits', '/source-fails', '/greeting-fails'
]

/** Serializes slowly, so that a stream falls behind immediately. */
const slowly: onSendAsyncHookHandler<unknown> = async (_request, _reply, payload) =>
  (payload as Readable).pipe(new Transform({ transform: (chunk, _encoding, done) => { setImmediate(done, null, chunk) } }))

const refuse: onSendAsyncHookHandler<unknown> = async (_request, reply) => {
  if (reply.statusCode === 200) throw new Error('refused')
}

/**
 * Routes of every kind, which publish and are published to on the topics `a` and `b`.
 * @param met called with each stream when it opens
 */
export function addRoutes (app: FastifyInstance, met: (stream: SSEStream) => void): void {
  const onConnect = (_request: FastifyRequest, stream: SSEStream) => met(stream)
  const onError = () => {}
  const idle = async (signal: AbortSignal) => {
    // does not leave a listener that outlives its stream
    while (!signal.aborted) await wait(5)
  }

  app.sseRoute('/topics', { topics: ['a', 'b'], onConnect })
  app.sseRoute('/topic/:name', { topics: ({ url }) => [url.slice(-1)], onConnect, maxLifetime: 60_000, idleTimeout: 60_000 })
  app.sseRoute('/later/:name', { topics: async ({ url }) => { await wait(5); return [url.slice(-1)] }, onConnect })
  app.sseRoute('/throws', { topics: () => { throw new Error('no') }, onConnect })
  app.sseRoute('/rejects', { topics: async () => { throw new Error('no') }, onConnect })
  app.sseRoute('/no-topic', { topics: () => [''], onConnect })

  app.sseRoute('/interval', { interval: 3, payload: () => 'x', onConnect })
  app.sseRoute('/slow-interval', { interval: 3, payload: () => wait(20, 'x'), onConnect })
  app.sseRoute('/shared', { interval: 3, shared: true, topics: ['a'], payload: () => 'x', onConnect })
  app.sseRoute('/shared/:key', { interval: 3, shared: ({ url }) => url, payload: async () => { await turn(); return 'x' }, onConnect })

  app.sseRoute('/source', { source: async function * (_request, { signal }) { yield 'x'; await idle(signal) }, onConnect })
  app.sseRoute('/source-ends', { source: () => ['x', 'y'], topics: ['a'], onConnect })
  app.sseRoute('/source-fails', { source: async function * () { yield 'x'; throw new Error('no') }, onConnect, onError })
  app.sseRoute('/readable', { source: () => Readable.from(['x', 'y']), onConnect })
  app.sseRoute('/first-event', { openOn: 'first-event', topics: ['b'], source: async function * (_request, stream) { met(stream); await wait(5); yield 'x'; await idle(stream.signal) } })
  app.sseRoute('/first-fails', { openOn: 'first-event', topics: ['b'], source: async function * (_request, stream) { met(stream); throw new Error('no') }, onError })
  app.sseRoute('/first-never', { openOn: 'first-event', topics: ['b'], source: async function * (_request, stream) { met(stream); await idle(stream.signal) } })

  app.get('/by-hand', (_request, reply) => {
    const stream = reply.sse({ maxLifetime: 60_000 })
    met(stream)
    stream.subscribe('a')
    stream.unsubscribe('a')
    stream.subscribe('b', 'c')
  })
  app.get('/by-hand-busy', async (_request, reply) => {
    const stream = reply.sse()
    met(stream)
    while (await stream.send('x')) await turn()
  })
  app.get('/by-hand-ends', async (_request, reply) => {
    const stream = reply.sse()
    met(stream)
    stream.subscribe('a')
    await stream.send('x')
    stream.close()
  })
  app.get('/reply-source', (_request, reply) => reply.sse(['x', 'y']))

  app.sseRoute('/closes', { topics: ['a'], onConnect: (_request, stream) => { met(stream); stream.close() } })
  app.sseRoute('/greeting-fails', { topics: ['a'], onConnect: (_request, stream) => { met(stream); throw new Error('no') }, onError })
  app.sseRoute('/idle', { idleTimeout: 5, interval: 1_000, immediate: false, payload: () => 'x', onConnect })
  app.sseRoute('/lifetime', { maxLifetime: 10, topics: ['a'], onConnect })
  app.sseRoute('/overflows', { topics: ['b'], maxBufferedBytes: 100, onSend: slowly, onConnect: (_request, stream) => { met(stream); flood(stream) } })
  app.sseRoute('/drops', { topics: ['b'], maxBufferedBytes: 100, overflow: 'drop', onSend: slowly, onConnect: (_request, stream) => { met(stream); flood(stream) } })

  app.sseRoute('/waits', { topics: ['a'], preHandler: async () => { await wait(10) }, onConnect })
  app.sseRoute('/refused', { topics: ['a'], interval: 5, shared: true, payload: () => 'x', onSend: refuse, onConnect })
  app.get('/refused-by-hand', { onSend: refuse }, (_request, reply) => {
    const stream = reply.sse()
    met(stream)
    stream.subscribe('a')
  })
}

/** More bytes than a stream buffers for a slow client. */
function flood (stream: SSEStream): void {
  for (let i = 0; i < 100; i++) stream.send('x'.repeat(1_000))
}
