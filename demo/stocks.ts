import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { company, listing, pastPrices, PriceSchema, quote, QuoteSchema } from './data/market.js'
import { errorSchema } from './data/schemas.js'

const schema = {
  summary: 'A share price',
  description: 'One company’s price on a simulated market: the last two minutes first, then once a second. One quote serves all clients of a symbol.',
  tags: ['live data'],
  params: Type.Object({ symbol: Type.String({ examples: listing.map(({ symbol }) => symbol) }) }),
  response: { 404: errorSchema('No such symbol') }
}

const stocks: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/stocks/:symbol',
    schema,
    events: { history: Type.Array(PriceSchema), quote: QuoteSchema },
    preHandler: async (request) => {
      company(request.params.symbol)
    },
    interval: 1_000,
    shared: (request) => request.params.symbol,
    onConnect: (request, stream) => stream.send({ event: 'history', data: pastPrices(request.params.symbol) }),
    payload: (request) => ({ event: 'quote', data: quote(request.params.symbol) })
  })

  app.get('/stocks', { schema: { hide: true } }, async () => listing)
}

export default stocks
