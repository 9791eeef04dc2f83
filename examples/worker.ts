// A worker without Fastify, which publishes to the streams of an app through Redis. It does not listen. Start examples/redis.ts as the app:
//   npx tsx examples/redis.ts
//   curl -N http://127.0.0.1:3000/news
//   npx tsx examples/worker.ts
// REDIS_URL says where Redis is, by default redis://127.0.0.1:6379.
import { setTimeout } from 'node:timers/promises'
import { redisPublisher } from 'fastify-sse-routes/redis'

const { REDIS_URL: url = 'redis://127.0.0.1:6379' } = process.env

// the key is that of the app's backplane
const publisher = redisPublisher({ url, key: 'example:news', timeout: 500 })

async function render (pages: number) {
  for (let page = 1; page <= pages; page++) {
    await setTimeout(50)
    try {
      await publisher.publish('news', { event: 'rendered', data: { page, pages } })
    } catch (error) {
      // the work goes on without Redis, only its events are missing
      console.error(error)
    }
  }
}

await render(3)
await publisher.end()
console.log('All pages are rendered')
