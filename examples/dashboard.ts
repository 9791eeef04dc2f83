import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { VitalsSchema, type VitalsLog } from './data/vitals.js'

const schema = {
  summary: 'Vital signs of this server',
  description: 'CPU, memory, event-loop delay, open streams and requests per second: the last two minutes first, then once a second. One measurement serves all clients.',
  tags: ['live data']
}

const dashboard: FastifyPluginAsyncTypebox<{ vitals: VitalsLog }> = async (app, { vitals }) => {
  app.sseRoute({
    url: '/dashboard',
    schema,
    events: { history: Type.Array(VitalsSchema), vitals: VitalsSchema },
    interval: 1_000,
    shared: true,
    onConnect: (_request, stream) => stream.send({ event: 'history', data: vitals.history }),
    payload: () => ({ event: 'vitals', data: vitals.latest })
  })
}

export default dashboard
