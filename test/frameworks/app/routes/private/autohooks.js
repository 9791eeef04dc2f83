/** Hooks of this folder's routes only. */
export default async function hooks (fastify) {
  fastify.addHook('onRequest', async (request, reply) => {
    if (request.headers.authorization === undefined) return reply.code(401).send({ message: 'who?' })
    reply.header('x-private', '1')
  })
}
