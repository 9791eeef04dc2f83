import { createError } from '@fastify/error'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { isListed, listing, pastPrices, PriceSchema, quote, QuoteSchema } from './data/market.js'

const UnknownSymbol = createError('UNKNOWN_SYMBOL', 'No company is listed as %s', 404)
const NotFound = Type.Object({ statusCode: Type.Integer(), code: Type.String(), error: Type.String(), message: Type.String() })

const stocks: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/stocks/:symbol',
    schema: {
      summary: 'A share price',
      description: 'A simulated market’s price of one company, once a second, computed once for all its clients. The last two minutes come first.',
      tags: ['live data'],
      params: Type.Object({ symbol: Type.String({ examples: listing.map(({ symbol }) => symbol) }) }),
      response: { 404: NotFound }
    },
    events: { history: Type.Array(PriceSchema), quote: QuoteSchema },
    preHandler: async ({ params: { symbol } }) => {
      if (!isListed(symbol)) throw new UnknownSymbol(symbol)
    },
    interval: 1_000,
    shared: (request) => request.params.symbol,
    payload: (request) => ({ event: 'quote', data: quote(request.params.symbol) }),
    onConnect: async (request, stream) => {
      await stream.send({ event: 'history', data: pastPrices(request.params.symbol) })
    }
  })

  app.get('/stocks', { schema: { hide: true } }, async () => listing)
}

export default stocks
