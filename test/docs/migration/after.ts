// The application of before.ts after its move by docs/migration.md.
import { pipeline, Readable, Transform } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const orders = [{ id: 1, item: 'tea' }, { id: 2, item: 'rice' }, { id: 3, item: 'salt' }]

/** Reads the orders from a slow store. */
async function * readOrders () {
  for (const order of orders) {
    await wait(5)
    yield order
  }
}

/** Answers a question word by word, as a language model does. */
async function * answer (question: string) {
  for (const word of ['You', 'asked:', question]) {
    await wait(5)
    yield word
  }
}

async function * importOrders () {
  yield 'read'
  yield 'checked'
  throw new Error('order 2 is not valid')
}

async function * archiveOf (year: string) {
  if (year !== '2026') throw Object.assign(new Error(`no archive of ${year}`), { statusCode: 404 })
  yield { event: 'order', data: orders[0] }
}

async function requireToken (request: FastifyRequest, reply: FastifyReply) {
  if (request.headers.authorization !== 'Bearer secret') return reply.code(401).send({ error: 'sign in' })
}

export async function buildApp (): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true })
  let disconnects = 0
  await app.register(sse, { heartbeat: 50, history: { size: 100 }, onDisconnect: () => { disconnects++ } })

  app.sseRoute<{ Params: { room: string } }>('/rooms/:room', {
    preHandler: [requireToken, async (request, reply) => { reply.header('x-room', request.params.room) }],
    topics: (request) => [`room:${request.params.room}`],
    onConnect: (request, stream) => stream.send({ event: 'joined', data: { room: request.params.room } })
  })

  app.post<{ Params: { room: string } }>('/rooms/:room', { preHandler: requireToken }, async (request, reply) => {
    const topic = `room:${request.params.room}`
    await app.sse.publish(topic, { event: 'said', data: request.body })
    return reply.code(201).send({ members: [...app.sse.streams.values()].filter(({ topics }) => topics.has(topic)).length })
  })

  app.post<{ Body: { text: string } }>('/announcements', async (request) => {
    await app.sse.broadcast({ event: 'announced', data: JSON.stringify(request.body.text) })
    return {}
  })

  app.sseRoute('/load', {
    interval: 30,
    immediate: false,
    payload: () => ({ event: 'load', data: { connections: app.sse.streams.size } })
  })

  app.get('/status', async () => ({ connections: app.sse.streams.size, disconnects }))

  app.get('/orders', async (request, reply) => {
    if (!request.headers.accept?.includes('text/event-stream')) return orders
    return reply.sse(async (stream) => {
      for await (const order of readOrders()) await stream.send({ event: 'order', data: order })
      await stream.send({ event: 'done', data: null })
    })
  })

  app.post<{ Body: { question: string, stream: boolean } }>('/answers', async (request, reply) => {
    const { question } = request.body
    if (request.body.stream) {
      return reply.sse(async (stream) => {
        for await (const word of answer(question)) await stream.send({ event: 'word', data: JSON.stringify(word) })
      })
    }
    const words: string[] = []
    for await (const word of answer(question)) words.push(word)
    return { answer: words.join(' ') }
  })

  app.post('/import', (request, reply) => reply.sse(async (stream) => {
    try {
      for await (const step of importOrders()) await stream.send({ event: 'step', data: { step } })
    } catch (error) {
      await stream.send({ event: 'failed', data: { message: String(error) } })
    }
  }, { heartbeat: false }))

  app.sseRoute<{ Params: { year: string } }>('/archive/:year', {
    openOn: 'first-event',
    source: (request) => archiveOf(request.params.year)
  })

  app.get('/log', (request, reply) => {
    const file = Readable.from(['1\n2\n', '3\n'])
    const lines = new Transform({
      readableObjectMode: true,
      transform (chunk, encoding, callback) {
        for (const line of String(chunk).trimEnd().split('\n')) this.push({ event: 'line', data: Number(line) })
        callback()
      }
    })
    return reply.sse(pipeline(file, lines, () => {}), { serializer: (data) => `line ${data}` })
  })

  app.get('/created', async (request, reply) => {
    const stream = reply.code(201).sse()
    await stream.send('created')
    stream.close()
  })

  return app
}
