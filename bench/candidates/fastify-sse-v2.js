import Fastify from 'fastify'
import { FastifySSEPlugin } from 'fastify-sse-v2'
import { data, events, INTERVAL, NAME } from '../event.js'

/** Candidate: fastify-sse-v2. Its data is text, so that the routes make the JSON. */
export async function open () {
  const ticks = { on: false, sent: 0 }
  const feed = new Set()
  const app = Fastify()
  await app.register(FastifySSEPlugin)

  app.get('/feed', (request, reply) => {
    reply.sse({ comment: '' })
    feed.add(reply)
    reply.raw.on('close', () => feed.delete(reply))
  })

  app.get('/interval', (request, reply) => {
    reply.sse({ comment: '' })
    let seq = 0
    const timer = setInterval(() => {
      if (!ticks.on) return
      reply.sse({ event: NAME, data: JSON.stringify(data(seq++)) })
      ticks.sent++
    }, INTERVAL)
    reply.raw.on('close', () => clearInterval(timer))
  })

  async function * messages (count) {
    for await (const { event, data } of events(count)) yield { event, data: JSON.stringify(data) }
  }

  app.get('/source', (request, reply) => { reply.sse(messages(Number(request.query.count))) })

  app.get('/three', (request, reply) => { reply.sse(messages(3)) })

  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    ticks,
    publish (data) {
      const event = { event: NAME, data: JSON.stringify(data) }
      for (const reply of feed) reply.sse(event)
    }
  }
}
