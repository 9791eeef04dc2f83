// Several processes that share one log in Redis. Start two of them, and read from one what you publish at the other:
//   PORT=3000 npx tsx examples/redis.ts
//   PORT=3001 npx tsx examples/redis.ts
//   curl -N http://127.0.0.1:3001/news
//   curl -X POST -H 'content-type: text/plain' -d 'Hello' http://127.0.0.1:3000/news
// REDIS_URL says where Redis is, by default redis://127.0.0.1:6379.
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'
import { redisBackplane } from 'fastify-sse-routes/redis'

const { REDIS_URL: url = 'redis://127.0.0.1:6379' } = process.env

const app = Fastify()
await app.register(sse, { backplane: redisBackplane({ url, key: 'example:news' }) })

app.sseRoute({ url: '/news', topics: ['news'] })

app.post<{ Body: string }>('/news', async (request) => {
  const id = await app.sse.publish('news', { data: { text: request.body, from: process.pid } })
  return { id }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
