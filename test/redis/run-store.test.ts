import { Redis } from 'ioredis'
import { createClient } from 'redis'
import t from 'tap'
import type { RedisTarget } from '../../lib/redis/options.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { testRunStore } from '../runs/store.js'
import { openStore } from './run-stores.js'

// most tests wait
t.jobs = 8

let logs = 0

for (const command of SERVERS) {
  const { url } = await RedisServer.start(t, command)
  const targets: Record<string, () => RedisTarget> = {
    'a url': () => ({ url }),
    'a client of ioredis': () => ({ client: new Redis(url, { lazyConnect: true }) }),
    'a client of node-redis with RESP3': () => ({ client: createClient({ url, RESP: 3 }) })
  }
  for (const [what, target] of Object.entries(targets)) {
    testRunStore((name, run) => t.test(`${command} by ${what}: ${name}`, { buffered: true }, run), async (t) => {
      const key = `runs ${logs++}`
      return () => openStore(t, target(), key)
    })
  }
}
