import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { errorSchema, PublishedSchema, ResumeSchema } from './data/schemas.js'
import type { SignOuts } from './data/sign-outs.js'
import { NotSignedIn, UserName, userOf } from './session.js'

const NotificationSchema = Type.Object({
  from: UserName,
  text: Type.String(),
  time: Type.Integer({ description: 'ms since 1970' })
})

const common = {
  tags: ['published events'],
  security: [{ session: [] }]
}
const refused = { 401: errorSchema('Not signed in') }

const receive = {
  ...common,
  summary: 'Your notifications',
  description: 'First whose they are, then what is sent to that user, in every tab that is open.',
  querystring: ResumeSchema,
  response: refused
}

const notify = {
  ...common,
  summary: 'Send a notification to one user',
  description: 'It reaches all streams of that user, and nobody else’s.',
  body: Type.Object({ to: UserName, text: Type.String({ maxLength: 200, pattern: '\\S' }) }),
  response: { 201: PublishedSchema, ...refused }
}

const notifications: FastifyPluginAsyncTypebox<{ signOuts: SignOuts }> = async (app, { signOuts }) => {
  app.decorateRequest('user', '')
  app.addHook('preHandler', async (request) => {
    const user = await userOf(request, signOuts)
    if (user === null) throw new NotSignedIn()
    request.setDecorator('user', user)
  })
  const signedIn = (request: Pick<FastifyRequest, 'getDecorator'>) => request.getDecorator<string>('user')

  app.sseRoute({
    url: '/notifications',
    schema: receive,
    events: { user: UserName, notification: NotificationSchema },
    clientId: signedIn,
    onConnect: (_request, stream) => stream.send({ event: 'user', data: stream.clientId })
  })

  app.post('/notifications', { schema: notify }, async (request, reply) => {
    const { to, text } = request.body
    const notification: Static<typeof NotificationSchema> = { from: signedIn(request), text, time: Date.now() }
    const id = await app.sse.sendTo(to, { event: 'notification', data: notification })
    reply.code(201)
    return { id }
  })
}

export default notifications
