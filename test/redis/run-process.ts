// A process that the tests of runs start with the url of a Redis and the package of the client. It sends its port, and its memory when it gets a message.
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import sse from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'
import { serveRuns } from './run-app.js'

const [url = '', client] = process.argv.slice(2)
const app = Fastify()
await app.register(sse, { backplane: redisBackplane({ client: client === 'ioredis' ? new Redis(url, { lazyConnect: true }) : createClient({ url }) }) })
serveRuns(app)
await app.listen({ host: '127.0.0.1', port: 0 })
process.on('disconnect', () => process.exit())
process.on('message', async () => {
  // one collection leaves buffers behind that are freed in the background
  for (let i = 0; i < 3; i++) {
    global.gc?.()
    await wait(50)
  }
  process.send?.(process.memoryUsage())
})
process.send?.((app.server.address() as AddressInfo).port)
