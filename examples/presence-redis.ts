// The users who are online, over several processes: each process renews its users in Redis, and users of a dead process expire. Run two:
//   PORT=3000 npx tsx examples/presence-redis.ts
//   PORT=3001 npx tsx examples/presence-redis.ts
//   curl -N -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/room
//   curl -N -H 'authorization: Bearer bob-token' http://127.0.0.1:3001/room
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'
import { createClient } from 'redis'

const users = new Map([['Bearer ann-token', 'ann'], ['Bearer bob-token', 'bob']])
function userOf ({ headers }: Pick<FastifyRequest, 'headers'>): string {
  return users.get(headers.authorization ?? '') ?? 'guest'
}

const app = Fastify()
await app.register(sse)

const redis = createClient({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', disableOfflineQueue: true })
redis.on('error', (error) => app.log.error(error))
await redis.connect()
app.addHook('onClose', async () => redis.destroy())

app.sseRoute({
  url: '/room',
  clientId: userOf,
  interval: 1_000,
  shared: true,
  async payload () {
    const now = Date.now()
    const mine = [...app.sse.streams.values()].map(({ clientId }) => ({ score: now, value: clientId }))
    await redis.zAdd('example:online', mine)
    await redis.zRemRangeByScore('example:online', 0, now - 3_000)
    return { event: 'online', data: (await redis.zRange('example:online', 0, -1)).sort() }
  }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
