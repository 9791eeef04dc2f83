import type { FastifyPluginAsync } from 'fastify'
import { sseMetrics } from 'fastify-sse-routes/metrics'
import { Registry } from 'prom-client'

const metrics: FastifyPluginAsync = async (app) => {
  const register = new Registry()
  sseMetrics(app, { register })

  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    reply.type(register.contentType)
    return register.metrics()
  })
}

export default metrics
