// A topic with declared events (`defineTopic`): publishers and routes get its types, its schemas serialize the data. Run beside it:
//   curl -N http://127.0.0.1:3000/orders/7
//   curl -X POST http://127.0.0.1:3000/orders/7/packed
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse, { defineTopic, type EventsOf } from 'fastify-sse-routes'

const orders = defineTopic('order:{id}', {
  events: {
    packed: Type.Object({ parcels: Type.Integer() }),
    shipped: Type.Object({ carrier: Type.String() })
  },
  // keeps the last 10 events of each order for one hour
  history: { size: 10, maxAge: 3_600_000 }
})

/** The data of each event, by name: `{ packed: { parcels: number }, shipped: { carrier: string } }`. */
export type OrderEvents = EventsOf<typeof orders>

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

const schema = { params: Type.Object({ id: Type.Integer() }) }

// subscribes each stream to the topic of `request.params.id`
app.sseRoute({ url: '/orders/:id', schema, topics: [orders] })

app.post('/orders/:id/packed', { schema }, async ({ params: { id } }) => {
  // parcels: 'two', or an event "lost", would not compile
  await app.sse.publish(orders({ id }), { event: 'packed', data: { parcels: 2 } })
  return app.sse.publish(orders({ id }), { event: 'shipped', data: { carrier: 'DHL' } })
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
