// Events with TypeBox schemas: TypeScript checks each payload, the schemas serialize it, OpenAPI documents it. Run beside it:
//   curl -N http://127.0.0.1:3000/orders/7
//   curl http://127.0.0.1:3000/openapi.json
import swagger from '@fastify/swagger'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'orders', version: '1.0.0' } } })
await app.register(sse)

app.sseRoute({
  url: '/orders/:id',
  schema: { summary: 'Where an order is', params: Type.Object({ id: Type.Integer() }) },
  events: {
    packed: Type.Object({ order: Type.Integer(), parcels: Type.Integer() }),
    shipped: Type.Object({ order: Type.Integer(), carrier: Type.String() })
  },
  source: async function * ({ params: { id } }) {
    yield { event: 'packed', data: { order: id, parcels: 2 } }
    // carrier: 5, or an event "lost", would not compile
    yield { event: 'shipped', data: { order: id, carrier: 'DHL' } }
  }
})

app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
