import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { series } from './data/series.js'
import { VitalsSchema, type VitalsLog } from './data/vitals.js'

const schema = {
  summary: 'Vital signs of this server',
  description: 'CPU, memory, event-loop delay, open streams and requests per second, measured once a second: the last two minutes, or what a client that comes back has missed of them, then each second’s. One payload serves all clients.',
  tags: ['live data']
}

const dashboard: FastifyPluginAsyncTypebox<{ vitals: VitalsLog }> = async (app, { vitals }) => {
  const measured = series('vitals', vitals.after)
  app.sseRoute({
    url: '/dashboard',
    schema,
    events: { vitals: Type.Array(VitalsSchema) },
    interval: 1_000,
    shared: true,
    immediate: false,
    onConnect: (_request, stream) => stream.send(measured.missed(stream.lastEventId)),
    payload: () => measured.next()
  })
}

export default dashboard
