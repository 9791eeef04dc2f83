import Fastify from 'fastify'
import { data, events, FLUSH_INTERVALS, HEARTBEAT, INTERVAL, NAME, TOPICS } from '../event.js'
import { Lateness } from '../lateness.js'

/** Interval of a shared route, ms. */
const SHARED_INTERVAL = 10

const HOOKS = [
  'onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization',
  'onSend', 'onResponse', 'onRequestAbort', 'onTimeout', 'onError'
]

/** Candidate: this project. @param {string} build the built package, a file URL */
export async function open (build) {
  const { sse } = await import(build)
  const ticks = { on: false, sent: 0 }
  const lateness = new Lateness()
  const published = []
  const app = Fastify()
  await app.register(sse)
  app.decorateRequest('seq', 0)
  app.decorateRequest('tick', null)

  app.sseRoute('/topic', { topics: ['feed'] })

  for (const flushInterval of FLUSH_INTERVALS) app.sseRoute(`/flush-${flushInterval}`, { topics: ['feed'], flushInterval })

  app.sseRoute('/heartbeat', { topics: [], heartbeat: HEARTBEAT })

  app.register(async (app) => {
    for (const name of HOOKS) app.addHook(name, async (request) => {})
    app.sseRoute('/every-hook', { topics: ['feed'], async onConnect () {}, async onDisconnect () {} })
  })

  app.get('/feed', (request, reply) => { reply.sse() })

  app.sseRoute('/shared', { interval: SHARED_INTERVAL, shared: true, payload: () => published.shift() })

  app.sseRoute('/interval', {
    interval: INTERVAL,
    payload (request) {
      if (!ticks.on) return
      ticks.sent++
      return { event: NAME, data: data(request.seq++) }
    }
  })

  app.sseRoute('/lateness', {
    interval: INTERVAL,
    payload (request) {
      if (!ticks.on) return
      request.tick ??= lateness.stream()
      request.tick()
      ticks.sent++
      return { event: NAME, data: data(request.seq++) }
    }
  })

  let seq = 0
  app.sseRoute('/interval-shared', {
    interval: INTERVAL,
    shared: true,
    payload () {
      if (!ticks.on) return
      ticks.sent += app.sse.streams.size
      return { event: NAME, data: data(seq++) }
    }
  })

  app.sseRoute('/source', { source: (request) => events(Number(request.query.count)) })

  app.sseRoute('/run', {
    resumable: { key: (request) => request.id, keep: 0, maxBytes: 2 ** 30 },
    source: (request) => events(Number(request.query.count))
  })

  app.sseRoute('/replay', { topics: TOPICS })

  app.sseRoute('/three', { source: () => events(3) })

  app.get('/three-by-hand', (request, reply) => {
    const stream = reply.sse()
    for (let seq = 0; seq < 3; seq++) stream.send({ event: NAME, data: data(seq) })
    stream.close()
  })

  await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: app.server.address().port,
    ticks,
    lateness,
    async fill (count) {
      const before = await app.sse.publish('other', NAME)
      for (let seq = 0; seq < count; seq++) await app.sse.publish(TOPICS[seq % TOPICS.length], { event: NAME, data: data(seq) })
      return before
    },
    publish (data, path) {
      const event = { event: NAME, data }
      if (path === '/topic' || path.startsWith('/flush-')) app.sse.publish('feed', event)
      else if (path === '/replay') app.sse.publish(TOPICS[0], event)
      else if (path === '/heartbeat') app.sse.broadcast(event)
      else if (path === '/shared') published.push(event)
      else for (const stream of app.sse.streams.values()) stream.send(event)
    }
  }
}
