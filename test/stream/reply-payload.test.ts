import Fastify, { type RouteOptions } from 'fastify'
import { test } from 'tap'
import sse from '../../lib/index.js'
import { pipeEventStream } from '../../lib/stream/reply-payload.js'

test('the onSend hook that pipes event streams is the last one of SSE routes and of routes that ask for it, and on no other', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const seen: RouteOptions[] = []
  const later = async () => {}
  await app.register(sse)
  app.addHook('onRoute', (options) => {
    seen.push(options)
    options.onSend = [options.onSend ?? [], later].flat()
  })
  app.sseRoute('/route', { topics: [] })
  app.register(async (child) => child.sseRoute('/', { method: ['GET', 'POST'], topics: [] }), { prefix: '/prefix' })
  app.get('/ordinary', (_request, reply) => { reply.sse().close() })
  app.get('/asks', { config: { sse: true } }, (_request, reply) => { reply.sse().close() })
  await app.ready()
  const hooks = seen.map(({ method, url, onSend }) => [`${String(method)} ${url}`, [onSend ?? []].flat().flatMap((hook) => hook === later ? 'later' : hook === pipeEventStream ? 'pipe' : [])])
  t.strictSame(Object.fromEntries(hooks), {
    'GET /route': ['later', 'pipe'],
    'HEAD /route': ['later'],
    'GET,POST /prefix/': ['later', 'pipe'],
    'HEAD /prefix/': ['later'],
    'HEAD /prefix': ['later'],
    'GET /ordinary': ['later'],
    'HEAD /ordinary': ['later'],
    'GET /asks': ['later', 'pipe'],
    'HEAD /asks': ['later']
  })
  for (const url of ['/ordinary', '/asks']) t.match((await app.inject(url)).headers, { 'content-type': 'text/event-stream' })
  for (const url of ['/route', '/prefix']) t.match((await app.inject({ method: 'HEAD', url })).headers, { 'content-type': 'text/event-stream' })
})
