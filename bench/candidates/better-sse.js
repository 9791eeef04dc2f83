import { createChannel, createSession } from 'better-sse'
import Fastify from 'fastify'
import { data, events, INTERVAL, NAME } from '../event.js'

/** Candidate: better-sse in Fastify routes. */
export async function open () {
  const ticks = { on: false, sent: 0 }
  const channel = createChannel()
  const app = Fastify()

  function start (request, reply) {
    reply.hijack()
    return createSession(request.raw, reply.raw)
  }

  app.get('/feed', async (request, reply) => {
    channel.register(await start(request, reply))
  })

  app.get('/interval', async (request, reply) => {
    const session = await start(request, reply)
    let seq = 0
    // better-sse gives every event an id; with a given one it makes no UUID
    const timer = setInterval(() => {
      if (!ticks.on) return
      session.push(data(seq), NAME, String(seq++))
      ticks.sent++
    }, INTERVAL)
    session.on('disconnected', () => clearInterval(timer))
  })

  app.get('/source', async (request, reply) => {
    const session = await start(request, reply)
    let seq = 0
    for await (const { event, data } of events(Number(request.query.count))) session.push(data, event, String(seq++))
    reply.raw.end()
  })

  app.get('/three', async (request, reply) => {
    const session = await start(request, reply)
    for (let seq = 0; seq < 3; seq++) session.push(data(seq), NAME, String(seq))
    reply.raw.end()
  })

  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    ticks,
    publish: (data) => channel.broadcast(data, NAME, { eventId: String(data.seq) })
  }
}
