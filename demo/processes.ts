import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import { every } from './data/every.js'
import { PublishedSchema, ResumeSchema } from './data/schemas.js'

const Text = Type.String({ maxLength: 100, pattern: '\\S' })
const ProcessSchema = Type.Object({ number: Type.Integer(), pid: Type.Integer() })
const MessageSchema = Type.Object({
  from: Type.Integer({ description: 'The number of the process that published it' }),
  text: Text,
  time: Type.Integer({ description: 'ms since 1970' })
})

const follow = {
  summary: 'What any of the processes publishes',
  description: 'First which process delivers, then each event that one of them published, in the same order whoever delivers.',
  tags: ['published events'],
  querystring: ResumeSchema
}

const say = {
  summary: 'Have a process publish something',
  description: 'Whichever the connection leads to.',
  tags: ['published events'],
  body: Type.Object({ text: Text }),
  response: { 201: PublishedSchema }
}

/** @param number that of the process this runs in */
const processes: FastifyPluginAsyncTypebox<{ number: number }> = async (app, { number }) => {
  const publish = (text: string) => {
    const message: Static<typeof MessageSchema> = { from: number, text, time: Date.now() }
    return app.sse.publish('processes', { data: message })
  }
  every(2_000, app, (n) => publish(`tick ${n}`))

  app.sseRoute({
    url: '/processes',
    schema: follow,
    events: { process: ProcessSchema, message: MessageSchema },
    topics: ['processes'],
    onConnect: (_request, stream) => stream.send({ event: 'process', data: { number, pid: process.pid } })
  })

  app.post('/processes', { schema: say }, async ({ body: { text } }, reply) => {
    const id = await publish(text)
    // the next request has to come by another connection, and so to another process
    reply.code(201).header('connection', 'close')
    return { id }
  })
}

export default processes
