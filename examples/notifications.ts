// Notifications for one user, in all tabs and in all processes, with the missed ones after a reconnect. Start two of them:
//   PORT=3000 npx tsx examples/notifications.ts
//   PORT=3001 npx tsx examples/notifications.ts
//   curl -N -H 'authorization: Bearer ann-token' http://127.0.0.1:3001/notifications
//   curl -X POST -H 'content-type: text/plain' -d 'Tea is ready' http://127.0.0.1:3000/users/ann
// REDIS_URL says where Redis is, by default redis://127.0.0.1:6379.
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'
import { redisBackplane } from 'fastify-sse-routes/redis'

const { REDIS_URL: url = 'redis://127.0.0.1:6379' } = process.env

const users = new Map([['Bearer ann-token', 'ann'], ['Bearer bob-token', 'bob']])
function userOf ({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const user = users.get(headers.authorization ?? '')
  if (user === undefined) throw Object.assign(new Error('Sign in first'), { statusCode: 401 })
  return user
}

const app = Fastify()
await app.register(sse, { backplane: redisBackplane({ url, key: 'example:notifications' }), history: { size: 50, maxAge: 86_400_000 } })

app.sseRoute({
  url: '/notifications',
  clientId: userOf,
  // with topics, the stream sends an id at once, so that a client misses nothing even before its first event
  topics: [],
  maxStreamsPerClient: { max: 10, key: userOf }
})

app.post<{ Params: { name: string }, Body: string }>('/users/:name', async (request) => {
  const id = await app.sse.sendTo(request.params.name, { event: 'notification', data: { text: request.body } })
  return { id }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
