// An order that a page follows: a snapshot for a new client, the missed changes for a client that reconnects. Run beside it:
//   curl -N http://127.0.0.1:3000/orders/7
//   curl -X POST http://127.0.0.1:3000/orders/7/packed
// Reconnect with the id of an event that curl printed, to get the changes after it; with 1-0, to get a snapshot and the last changes:
//   curl -N -H 'last-event-id: 1-0' http://127.0.0.1:3000/orders/7
import { Type, type Static, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const Order = Type.Object({ version: Type.Integer(), status: Type.String() })
const orders = new Map<string, Static<typeof Order>>([['7', { version: 1, status: 'paid' }]])

function orderOf (id: string): Static<typeof Order> {
  const order = orders.get(id)
  if (order === undefined) throw Object.assign(new Error('No such order'), { statusCode: 404 })
  return order
}

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse, { history: { size: 3 } })

app.sseRoute({
  url: '/orders/:id',
  schema: { params: Type.Object({ id: Type.String() }) },
  events: { snapshot: Order, changed: Order },
  topics: ({ params: { id } }) => orderOf(id) && [`order:${id}`],
  // a client with an id of the log gets the changes after this id instead
  onConnect: ({ params: { id } }, stream) => stream.resumed || stream.send({ event: 'snapshot', data: orderOf(id) }),
  onGap: (_gap, { params: { id } }) => ({ event: 'snapshot', data: orderOf(id) })
})

app.post('/orders/:id/:status', { schema: { params: Type.Object({ id: Type.String(), status: Type.String() }) } }, async ({ params: { id, status } }) => {
  const order = { version: orderOf(id).version + 1, status }
  orders.set(id, order)
  return { id: await app.sse.publish(`order:${id}`, { event: 'changed', data: order }) }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
