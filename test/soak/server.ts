// Started by soak.ts: one of two processes that are measured. It serves HTTP/1.1 and HTTP/2, each by an app of its own.
import type { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { createClient } from 'redis'
import sse, { type SSEStream } from '../../lib/index.js'
import { sseMetrics } from '../../lib/metrics.js'
import { type RedisClient, redisBackplane } from '../../lib/redis/index.js'
import { addRoutes } from '../integration/every-route.js'
import { addTopicRoutes } from '../integration/topic-routes.js'
import { hubOf } from '../helpers/subscriber.js'
import { measure, Watched } from './measure.js'

/** Requests to the server: measure itself, or close its apps and exit. */
export type Order = 'measure' | 'close'

const [library, url = '', places = ''] = process.argv.slice(2)
const model: EventEmitter & RedisClient = library === 'ioredis' ? new Redis(url, { lazyConnect: true }) : createClient({ url })
const [clients, sockets, requests] = [new Watched<EventEmitter>(), new Watched<EventEmitter>(), new Watched<FastifyRequest>()]
const duplicate = model.duplicate.bind(model)
model.duplicate = (options) => {
  const client = duplicate(options) as EventEmitter
  clients.add(client)
  return client
}

const FILLER = 'x'.repeat(32_768)

/** More bytes than the buffers of a client that does not read. */
async function pour (stream: SSEStream): Promise<void> {
  while (!stream.closed) {
    stream.send({ event: 'filler', data: FILLER })
    await wait(15)
  }
}

async function addAll (app: FastifyInstance): Promise<void> {
  await app.register(sse, {
    heartbeat: 100,
    maxBufferedBytes: 4_096,
    maxLifetime: 3_000,
    idleTimeout: 5_000,
    maxStreams: Number(places),
    maxStreamsPerClient: { max: 2, key: ({ headers, id }) => String(headers['x-user'] ?? id) },
    clientId: ({ headers }) => String(headers['x-user'] ?? 'anybody'),
    // the process retains fewer events than Redis, so that some replays have to read from Redis
    history: { size: 100 },
    backplane: redisBackplane({ client: model, maxLength: 1_000, timeout: 1_000 })
  })
  app.addHook('onRequest', async (request) => { requests.add(request) })
  const register = new Registry()
  sseMetrics(app, { register })
  app.get('/metrics', () => register.metrics())
  app.register(async (app) => addTopicRoutes(app), { prefix: '/log' })
  addRoutes(app, () => {})
  for (const overflow of ['disconnect', 'drop'] as const) {
    app.sseRoute(`/pours/${overflow}`, { topics: ['a'], overflow, maxBufferedBytes: 65_536, onConnect: (_request, stream) => { pour(stream) } })
  }
  app.sseRoute({ method: 'POST', url: '/post', topics: ['b'], source: ({ body }) => [{ data: body }] })
  app.post('/all', async ({ body }) => app.sse.broadcast(String(body)))
  app.post<{ Params: { name: string } }>('/clients/:name', async ({ params, body }) => app.sse.sendTo(params.name, String(body)))
}

// Node does not clear a session's timeout when its connection is lost
const apps: FastifyInstance[] = [Fastify({ forceCloseConnections: true }), Fastify({ http2: true, http2SessionTimeout: 0 }) as unknown as FastifyInstance]
for (const app of apps) {
  await addAll(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  app.server.on('connection', (socket) => { sockets.add(socket) })
}

process.on('message', async (order: Order) => {
  if (order === 'measure') {
    process.send?.(await measure({ hubs: apps.map((app) => hubOf(app)), servers: apps.map(({ server }) => server), sockets, requests, clients }))
  } else {
    for (const app of apps) await app.close()
    process.disconnect()
  }
})
for (const event of ['warning', 'unhandledRejection']) {
  process.on(event, (what: unknown) => {
    console.error(event, what)
    process.exit(1)
  })
}
process.send?.(apps.map(({ server }) => (server.address() as AddressInfo).port))
