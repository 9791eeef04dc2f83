export default async function mine (fastify) {
  fastify.sseRoute('/', { topics: ['prices'] })
}
