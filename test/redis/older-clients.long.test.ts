import { Redis } from 'ioredis-5'
import { createClient } from 'redis-5'
import { startsAndEnds } from './starting.js'

startsAndEnds({
  'node-redis 5': (url) => ({ client: createClient({ url }) }),
  'ioredis 5': (url) => ({ client: new Redis(url, { lazyConnect: true }) })
})
