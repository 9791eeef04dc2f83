import Fastify from 'fastify'
import { NAME } from '../event.js'

/** Candidate: this project with its Redis backplane. @param {string} build the built package, a file URL */
export async function open (build) {
  const { sse } = await import(build)
  const { redisBackplane } = await import(new URL('redis/index.js', build))
  const app = Fastify()
  await app.register(sse, { backplane: redisBackplane({ url: process.env.REDIS_URL }) })
  app.sseRoute('/feed', { topics: ['feed'] })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    publish: (data, path) => app.sse.publish(path.slice(1), { event: NAME, data })
  }
}
