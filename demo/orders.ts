import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { errorSchema, ResumeSchema } from './data/schemas.js'
import { openWarehouse, OrderSchema } from './data/warehouse.js'

const place = {
  summary: 'Place an order',
  description: 'A simulated warehouse packs, ships and delivers it within three seconds. Its progress is at `/orders/{id}`.',
  tags: ['published events'],
  body: Type.Object({ item: Type.String({ minLength: 1, maxLength: 100 }) }),
  response: { 201: { ...OrderSchema, description: 'Placed' } }
}

const follow = {
  summary: 'The progress of an order',
  description: 'Its present state, then each that it comes to; a client that comes back gets those it missed instead. Nothing follows `delivered`: leave then.',
  tags: ['published events'],
  params: Type.Object({ id: Type.String({ format: 'uuid' }) }),
  querystring: ResumeSchema,
  response: { 404: errorSchema('No such order') }
}

const orders: FastifyPluginAsyncTypebox = async (app) => {
  const warehouse = openWarehouse((order) => {
    app.sse.publish(`order:${order.id}`, { event: 'state', data: order }).catch((error) => app.log.error(error))
  })
  app.addHook('onClose', async () => warehouse.close())

  app.post('/orders', { schema: place }, async (request, reply) => {
    reply.code(201)
    return warehouse.place(request.body.item)
  })

  app.sseRoute({
    url: '/orders/:id',
    schema: follow,
    events: { state: OrderSchema },
    preHandler: async (request) => {
      warehouse.find(request.params.id)
    },
    topics: (request) => [`order:${request.params.id}`],
    onConnect: async (request, stream) => {
      if (stream.lastEventId === null) await stream.send({ event: 'state', data: warehouse.find(request.params.id) })
    }
  })
}

export default orders
