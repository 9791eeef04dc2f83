/** Its prefix is the name of its folder. */
export default async function prices (fastify) {
  fastify.sseRoute('/', { interval: 20, payload: () => ({ event: 'price', data: 100 }) })
  fastify.get('/hand', (request, reply) => { reply.sse().subscribe('prices') })
  fastify.post('/', async (request) => ({ id: await fastify.sse.publish('prices', { data: request.body }) }))
}
