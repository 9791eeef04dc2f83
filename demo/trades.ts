import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import { company, listing } from './data/market.js'
import { errorSchema, PublishedSchema, ResumeSchema } from './data/schemas.js'

const symbol = Type.String({ examples: listing.map(({ symbol }) => symbol) })
const Offer = Type.Object({
  symbol,
  price: Type.Number({ minimum: 0.01, maximum: 1_000_000 }),
  quantity: Type.Integer({ minimum: 1, maximum: 1_000_000 })
})
const TradeSchema = Type.Object({ ...Offer.properties, time: Type.Integer({ description: 'ms since 1970' }) })
const unknown = { 404: errorSchema('No such symbol') }

const report = {
  summary: 'Report a trade',
  description: 'All who follow the symbol’s trades see it.',
  tags: ['published events'],
  body: Offer,
  response: { 201: PublishedSchema, ...unknown }
}

const follow = {
  summary: 'The trades in a company’s shares',
  description: 'Each trade as it is reported, beside the simulated price at `/stocks/{symbol}`.',
  tags: ['published events'],
  params: Type.Object({ symbol }),
  querystring: ResumeSchema,
  response: unknown
}

const trades: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/trades', { schema: report }, async ({ body: { symbol, price, quantity } }, reply) => {
    company(symbol)
    const trade: Static<typeof TradeSchema> = { symbol, price, quantity, time: Date.now() }
    const id = await app.sse.publish(`trades:${symbol}`, { event: 'trade', data: trade })
    reply.code(201)
    return { id }
  })

  app.sseRoute({
    url: '/trades/:symbol',
    schema: follow,
    events: { trade: TradeSchema },
    preHandler: async (request) => {
      company(request.params.symbol)
    },
    topics: (request) => [`trades:${request.params.symbol}`]
  })
}

export default trades
