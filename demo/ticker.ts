import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { defineTopic } from 'fastify-sse-routes'
import { every } from './data/every.js'
import { pricesAfter, SecondSchema } from './data/market.js'

/** Retains two minutes, so that a client that reconnects within them misses no second. */
const prices = defineTopic('prices', { events: { prices: SecondSchema }, history: { size: 120 } })

const schema = {
  summary: 'All share prices',
  description: 'Prices of a simulated market, once a second. A new client gets the newest prices at once, and a client that reconnects the seconds that it missed.',
  tags: ['live data']
}

const ticker: FastifyPluginAsyncTypebox = async (app) => {
  let published = Date.now()
  every(1_000, app, async () => {
    // a late timer may have passed two seconds
    for (const second of pricesAfter(published)) {
      published = second.time
      await app.sse.publish(prices(), { event: 'prices', data: second })
    }
  })

  app.sseRoute({ url: '/ticker', schema, topics: [prices], rewind: 1 })

  app.get('/prices', { schema: { hide: true } }, async () => pricesAfter(0))
}

export default ticker
