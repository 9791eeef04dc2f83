import { type Readable, Transform } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest, onSendAsyncHookHandler } from 'fastify'

/** Paths whose clients miss no event. Their query has the topics, separated by commas. */
export const PATHS = ['/declared', '/awaited', '/greeted', '/by-hand', '/narrow']

/** Serializes slowly, so that a burst exceeds the buffer even for a client that reads. */
const onSend: onSendAsyncHookHandler<unknown> = async (_request, _reply, payload) =>
  (payload as Readable).pipe(new Transform({ transform: (chunk, _encoding, done) => { setImmediate(done, null, chunk) } }))

/** Adds routes with every kind of subscription, and routes that publish. */
export function addTopicRoutes (app: FastifyInstance): void {
  const topics = (request: FastifyRequest) => request.url.replace(/^.*\?/, '').split(',')
  app.sseRoute('/declared', { topics })
  app.sseRoute('/awaited', { topics: async (request) => { await turn(); return topics(request) } })
  app.sseRoute('/narrow', { topics, onSend })
  app.sseRoute('/greeted', { onConnect: (request, stream) => stream.subscribe(...topics(request)) })
  app.get('/by-hand', (request, reply) => reply.sse().subscribe(...topics(request)))
  app.sseRoute('/dropping', { topics, onSend, overflow: 'drop' })
  app.post('/topics/:topic', async (request) => app.sse.publish((request.params as { topic: string }).topic, String(request.body)))
}
