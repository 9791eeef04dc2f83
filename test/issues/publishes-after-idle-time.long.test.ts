// Symptom: publish() rejects after an idle time, although Redis runs.
// Cause: node-redis with a `socketTimeout` gives up every connection that is idle for that long, and rejects the commands sent then.
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { createClient as createClient5 } from 'redis-5'
import type { RedisBackplaneOptions } from '../../lib/redis/index.js'
import { follow, startApp } from '../redis/app.js'
import { testRedis } from '../helpers/redis-server.js'

const TIMEOUT = 150
const clients: Record<string, (url: string) => RedisBackplaneOptions> = {
  'node-redis 6': (url) => ({ client: createClient({ url, socket: { socketTimeout: TIMEOUT } }) }),
  'node-redis 6 by host and port': (url) => ({ client: createClient({ socket: { host: '127.0.0.1', port: Number(new URL(url).port), socketTimeout: TIMEOUT } }) }),
  'node-redis 6 that pings': (url) => ({ client: createClient({ url, pingInterval: 50, socket: { socketTimeout: TIMEOUT } }) }),
  'node-redis 5': (url) => ({ client: createClient5({ url, socket: { socketTimeout: TIMEOUT } }) }),
  ioredis: (url) => ({ client: new Redis(url, { lazyConnect: true, socketTimeout: TIMEOUT }) })
}

for (const [name, client] of Object.entries(clients)) {
  testRedis(`a backplane on a client with a socketTimeout publishes and receives after an idle time: ${name}`, async (t, server) => {
    const { app, lines } = await startApp(t, client(server.url))
    const stream = await follow(app, 'news')
    for (const data of ['1', '2', '3']) {
      await wait(4 * TIMEOUT)
      await t.resolves(app.sse.publish('news', data))
      t.match(await stream.next(), { data })
    }
    t.strictSame(lines, [])
  })
}
