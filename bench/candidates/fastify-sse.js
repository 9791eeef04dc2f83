import fastifySSE from '@fastify/sse'
import Fastify from 'fastify'
import { data, events, INTERVAL, NAME } from '../event.js'

/** @fastify/sse */
export async function open () {
  const ticks = { on: false, sent: 0 }
  const feed = new Set()
  const app = Fastify()
  await app.register(fastifySSE)

  // without this it sends the headers with the first event
  function start (reply) {
    reply.sse.keepAlive()
    reply.sse.sendHeaders()
    reply.raw.flushHeaders()
    return reply.sse
  }

  app.get('/feed', { sse: 'only' }, async (request, reply) => {
    const sse = start(reply)
    feed.add(sse)
    sse.onClose(() => feed.delete(sse))
  })

  app.get('/interval', { sse: 'only' }, async (request, reply) => {
    const sse = start(reply)
    let seq = 0
    const timer = setInterval(() => {
      if (!ticks.on) return
      sse.send({ event: NAME, data: data(seq++) })
      ticks.sent++
    }, INTERVAL)
    sse.onClose(() => clearInterval(timer))
  })

  app.get('/source', { sse: 'only' }, async (request, reply) => reply.sse.send(events(Number(request.query.count))))

  app.get('/three', { sse: 'only' }, async (request, reply) => {
    for (let seq = 0; seq < 3; seq++) await reply.sse.send({ event: NAME, data: data(seq) })
  })

  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    ticks,
    publish (data) {
      const event = { event: NAME, data }
      for (const sse of feed) sse.send(event)
    }
  }
}
