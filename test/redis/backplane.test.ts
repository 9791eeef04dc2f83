import { Redis } from 'ioredis'
import pino from 'pino'
import { createClient } from 'redis'
import t from 'tap'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { testBackplane } from '../backplane.js'
import { RedisServer, SERVERS } from './server.js'

const log = pino({ level: 'silent' })
let logs = 0

for (const command of SERVERS) {
  const { url } = await RedisServer.start(t, command)
  const clients: Record<string, RedisBackplaneOptions> = {
    'a url': { url },
    'a client of node-redis': { client: createClient({ url }) },
    'one that speaks RESP3': { client: createClient({ url, RESP: 3 }) },
    'one of ioredis': { client: new Redis(url, { lazyConnect: true }) }
  }
  for (const [what, options] of Object.entries(clients)) {
    testBackplane(`${command} by ${what}`, (history) => redisBackplane({ ...options, key: `log ${logs++}` })(history, log))
  }
}
