import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { VitalsSchema, type VitalsLog } from './data/vitals.js'

const dashboard: FastifyPluginAsyncTypebox<{ vitals: VitalsLog }> = async (app, { vitals }) => {
  app.sseRoute({
    url: '/dashboard',
    schema: {
      summary: 'Vital signs of this server',
      description: 'CPU, memory, event-loop delay, open streams and requests per second, once a second, one measurement for all clients. The last two minutes come first.',
      tags: ['live data']
    },
    events: { history: Type.Array(VitalsSchema), vitals: VitalsSchema },
    interval: 1_000,
    shared: true,
    payload: () => ({ event: 'vitals', data: vitals.latest }),
    onConnect: async (_request, stream) => {
      await stream.send({ event: 'history', data: vitals.history })
    }
  })
}

export default dashboard
