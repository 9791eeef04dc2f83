// Started by server-process.ts: one process of an application with several.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import sse from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'
import { addTopicRoutes } from './topic-routes.js'

interface Named { Params: { name: string } }

const app = Fastify()
// the process retains fewer events than Redis, so that some replays have to read from Redis
await app.register(sse, {
  maxBufferedBytes: 4_096,
  heartbeat: 100,
  history: { size: 200 },
  backplane: redisBackplane({ url: String(process.argv[2]), maxLength: 100_000, timeout: 1_000 })
})
addTopicRoutes(app)
app.sseRoute<Named>('/clients/:name', { topics: [], clientId: ({ params }) => params.name })
app.post<Named>('/clients/:name', async ({ params, body }) => app.sse.sendTo(params.name, String(body)))
app.post('/all', async ({ body }) => app.sse.broadcast(String(body)))
app.get('/stats', async () => app.sse.stats())
process.on('disconnect', () => process.exit())

await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.((app.server.address() as AddressInfo).port)
