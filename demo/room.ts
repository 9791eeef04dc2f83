import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import { PublishedSchema, ResumeSchema } from './data/schemas.js'

const Said = Type.Object({
  name: Type.String({ maxLength: 40, pattern: '\\S', description: 'Who says it, by a name of their own choice' }),
  text: Type.String({ maxLength: 1_000, pattern: '\\S' })
})
const MessageSchema = Type.Object({ ...Said.properties, time: Type.Integer({ description: 'ms since 1970' }) })
const params = Type.Object({ room: Type.String({ pattern: '^[a-z0-9-]{1,40}$', examples: ['lobby'] }) })

const listen = {
  summary: 'What is said in a room',
  description: 'Each message as it is said. A client that comes back gets those it missed first.',
  tags: ['published events'],
  params,
  querystring: ResumeSchema
}

const say = {
  summary: 'Say something in a room',
  description: 'All who are in the room see it.',
  tags: ['published events'],
  params,
  body: Said,
  response: { 201: PublishedSchema }
}

const room: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/rooms/:room',
    schema: listen,
    events: { message: MessageSchema },
    topics: (request) => [`room:${request.params.room}`]
  })

  app.post('/rooms/:room/messages', { schema: say }, async ({ params, body: { name, text } }, reply) => {
    const message: Static<typeof MessageSchema> = { name, text, time: Date.now() }
    const id = await app.sse.publish(`room:${params.room}`, { data: message })
    reply.code(201)
    return { id }
  })
}

export default room
