import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

const time: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/time',
    schema: { summary: 'The time', description: 'The server’s clock, once a second.', tags: ['start here'] },
    events: { message: Type.String({ format: 'date-time' }) },
    interval: 1_000,
    payload: () => new Date().toISOString()
  })
}

export default time
