// Numbers for Prometheus: open streams, events, bytes, lag and durations of each route. Run beside it:
//   curl -N http://127.0.0.1:3000/time
//   curl http://127.0.0.1:3000/metrics
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'
import { sseMetrics } from 'fastify-sse-routes/metrics'
import { Registry } from 'prom-client'

const app = Fastify()
await app.register(sse)

const register = new Registry()
sseMetrics(app, { register, labels: { service: 'time' } })

app.sseRoute({ url: '/time', interval: 1_000, payload: () => new Date().toISOString() })

app.get('/metrics', async (_request, reply) => {
  reply.type(register.contentType)
  return register.metrics()
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
