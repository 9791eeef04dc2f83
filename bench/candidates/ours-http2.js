import Fastify from 'fastify'
import { NAME } from '../event.js'

/** Candidate: this project on HTTP/2. @param {string} build the built package, a file URL */
export async function open (build) {
  const { sse } = await import(build)
  const app = Fastify({ http2: true })
  await app.register(sse)
  app.sseRoute('/topic', { topics: ['feed'] })
  app.get('/feed', (request, reply) => { reply.sse() })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    publish (data, path) {
      const event = { event: NAME, data }
      if (path === '/topic') app.sse.publish('feed', event)
      else for (const stream of app.sse.streams.values()) stream.send(event)
    }
  }
}
