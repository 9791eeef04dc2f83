import { randomUUID } from 'node:crypto'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { defineTopic } from 'fastify-sse-routes'
import { PublishedSchema, ResumeSchema } from './data/schemas.js'

const Said = Type.Object({
  name: Type.String({ maxLength: 40, pattern: '\\S', description: 'Who says it, by a name of their own choice' }),
  text: Type.String({ maxLength: 1_000, pattern: '\\S' })
})
const MessageSchema = Type.Object({ ...Said.properties, time: Type.Integer({ description: 'ms since 1970' }) })
const rooms = defineTopic('room:{room}', { events: { message: MessageSchema } })

/** A random id by which a page opens its stream and says something. Other clients never get it, so that none can use it. */
const Client = Type.Optional(Type.String({ pattern: '^[\\w-]{20,40}$', description: 'A random id of the client. The stream with this id does not get the client’s own messages.' }))
const params = Type.Object({ room: Type.String({ pattern: '^[a-z0-9-]{1,40}$', examples: ['lobby'] }) })

const listen = {
  summary: 'What is said in a room',
  description: 'Each message as it is said. A client that comes back gets those it missed first.',
  tags: ['published events'],
  params,
  querystring: Type.Object({ ...ResumeSchema.properties, client: Client })
}

const say = {
  summary: 'Say something in a room',
  description: 'All who are in the room get it, except the stream with the same `client`, whose page shows it already.',
  tags: ['published events'],
  params,
  body: Type.Object({ ...Said.properties, client: Client }),
  response: { 201: PublishedSchema }
}

const room: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/rooms/:room',
    schema: listen,
    topics: [rooms],
    clientId: ({ query: { client = randomUUID() } }) => client
  })

  app.post('/rooms/:room/messages', { schema: say }, async ({ params, body: { client, name, text } }, reply) => {
    const id = await app.sse.publish(rooms(params), { data: { name, text, time: Date.now() } }, { except: client })
    reply.code(201)
    return { id }
  })
}

export default room
