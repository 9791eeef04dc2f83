// An application on @fastify/sse 0.6. after.ts is this application after its move by docs/migration.md; checks.ts checks both.
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import fastifySSE, { type SSEMessage, type SSEReplyInterface } from '@fastify/sse'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

interface Room {
  connections: Set<SSEReplyInterface>
  messages: SSEMessage[]
  lastId: number
}

const HISTORY = 100

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
  await app.register(fastifySSE, { heartbeatInterval: 50 })

  const rooms = new Map<string, Room>()
  const everyone = new Set<SSEReplyInterface>()
  let disconnects = 0

  function roomOf (name: string): Room {
    const room = rooms.get(name) ?? { connections: new Set(), messages: [], lastId: 0 }
    rooms.set(name, room)
    return room
  }

  /** Keeps a connection open, and counts it until it closes. */
  function track (connection: SSEReplyInterface): void {
    connection.keepAlive()
    connection.sendHeaders()
    everyone.add(connection)
    connection.onClose(() => {
      everyone.delete(connection)
      disconnects++
    })
  }

  async function say (name: string, event: string, data: unknown): Promise<void> {
    const room = roomOf(name)
    const message = { id: String(++room.lastId), event, data }
    room.messages.push(message)
    if (room.messages.length > HISTORY) room.messages.shift()
    for (const connection of room.connections) await connection.send(message)
  }

  app.get<{ Params: { room: string } }>('/rooms/:room', { sse: 'only', preHandler: requireToken }, async (request, reply) => {
    const room = roomOf(request.params.room)
    reply.header('x-room', request.params.room)
    track(reply.sse)
    await reply.sse.send({ event: 'joined', data: { room: request.params.room } })
    await reply.sse.replay(async (lastEventId) => {
      for (const message of room.messages) if (Number(message.id) > Number(lastEventId)) await reply.sse.send(message)
    })
    room.connections.add(reply.sse)
    reply.sse.onClose(() => room.connections.delete(reply.sse))
  })

  app.post<{ Params: { room: string } }>('/rooms/:room', { preHandler: requireToken }, async (request, reply) => {
    await say(request.params.room, 'said', request.body)
    return reply.code(201).send({ members: roomOf(request.params.room).connections.size })
  })

  app.post<{ Body: { text: string } }>('/announcements', async (request) => {
    for (const connection of everyone) await connection.send({ event: 'announced', data: request.body.text })
    return {}
  })

  app.get('/load', { sse: 'only' }, async (request, reply) => {
    track(reply.sse)
    const timer = setInterval(() => {
      if (reply.sse.isConnected) reply.sse.send({ event: 'load', data: { connections: everyone.size } })
    }, 30)
    reply.sse.onClose(() => clearInterval(timer))
  })

  app.get('/status', async () => ({ connections: everyone.size, disconnects }))

  app.get('/orders', { sse: 'dual' }, async (request, reply) => {
    if (!reply.sse) return orders
    for await (const order of readOrders()) await reply.sse.send({ event: 'order', data: order })
    await reply.sse.send({ event: 'done', data: null })
  })

  app.post<{ Body: { question: string, stream: boolean } }>('/answers', { sse: 'manual' }, async (request, reply) => {
    const words: string[] = []
    for await (const word of answer(request.body.question)) {
      if (request.body.stream) await reply.sse.send({ event: 'word', data: word })
      else words.push(word)
    }
    return request.body.stream ? undefined : { answer: words.join(' ') }
  })

  app.post('/import', { sse: { kind: 'manual', heartbeat: false } }, async (request, reply) => {
    try {
      for await (const step of importOrders()) await reply.sse.send({ event: 'step', data: { step } })
    } catch (error) {
      await reply.sse.send({ event: 'failed', data: { message: String(error) } })
    }
  })

  app.get<{ Params: { year: string } }>('/archive/:year', { sse: 'only' }, async (request, reply) => {
    await reply.sse.send(archiveOf(request.params.year))
  })

  app.get('/log', { sse: { kind: 'only', serializer: (data) => `line ${data}` } }, async (request, reply) => {
    const file = Readable.from(['1\n2\n', '3\n'])
    const lines = new Transform({
      readableObjectMode: true,
      transform (chunk, encoding, callback) {
        for (const line of String(chunk).trimEnd().split('\n')) this.push({ event: 'line', data: Number(line) })
        callback()
      }
    })
    await pipeline(file, lines, reply.sse.stream(), reply.raw, { end: false })
  })

  app.get('/created', { sse: 'only' }, async (request, reply) => {
    reply.sse.sendHeaders(201)
    await reply.sse.send('created')
  })

  app.addHook('preClose', async () => { for (const connection of everyone) connection.close() })
  return app
}
