import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { pricesAfter, SecondSchema } from './data/market.js'
import { series } from './data/series.js'

const schema = {
  summary: 'All share prices',
  description: 'Those of a simulated market: the last two minutes, or what a client that comes back has missed of them, then each second’s. One payload serves all clients.',
  tags: ['live data']
}

const ticker: FastifyPluginAsyncTypebox = async (app) => {
  const prices = series('prices', pricesAfter)
  app.sseRoute({
    url: '/ticker',
    schema,
    events: { prices: Type.Array(SecondSchema) },
    interval: 1_000,
    shared: true,
    immediate: false,
    onConnect: (_request, stream) => stream.send(prices.missed(stream.lastEventId)),
    payload: () => prices.next()
  })
}

export default ticker
