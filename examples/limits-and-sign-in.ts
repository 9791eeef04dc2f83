// Streams for signed-in users only, two per user, and events for one user. Run beside it:
//   curl -N -H 'authorization: Bearer ada-token' http://127.0.0.1:3000/inbox
//   curl -X POST -H 'content-type: text/plain' -d 'Tea is ready' http://127.0.0.1:3000/users/ada
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const users = new Map([['Bearer ada-token', 'ada'], ['Bearer bob-token', 'bob']])
const userOf = (request: FastifyRequest) => users.get(request.headers.authorization ?? '') ?? ''

const app = Fastify()
await app.register(sse, { clientId: userOf, maxStreams: 1_000 })

app.sseRoute({
  url: '/inbox',
  // a hook that answers opens no stream
  onRequest: async (request, reply) => {
    if (userOf(request) === '') return reply.code(401).send({ error: 'sign in first' })
  },
  topics: [],
  // one more is answered 429 with Retry-After
  maxStreamsPerClient: { max: 2, key: userOf }
})

app.post<{ Params: { name: string }, Body: string }>('/users/:name', async (request) => {
  const id = await app.sse.sendTo(request.params.name, { event: 'notice', data: request.body })
  return { id }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
