import fc from 'fast-check'
import { Redis } from 'ioredis'
import { redisBackplane } from '../../lib/redis/index.js'
import { testRedis } from '../helpers/redis-server.js'
import { numRuns } from './runs.js'
import { runSequences, setting } from './sequences.js'

const runs = numRuns(30)

const settings = fc.record({
  ...setting,
  // without memory all replays are read from Redis, with 200 kB a part of them
  maxBytes: fc.constantFrom(0, 0, 200_000, undefined),
  client: fc.constantFrom('node-redis', 'ioredis')
})

testRedis(`after random commands over Redis every client has the events of a small model, and nothing leaks: ${runs} sequences`, async (t, server) => {
  // not stored on disk, because nothing restarts
  await server.call('CONFIG', 'SET', 'appendonly', 'no')
  const template = new Redis(server.url, { lazyConnect: true })
  let logs = 0
  await runSequences(t, runs, settings, ({ client, size }) => {
    const options = { key: `log ${++logs}`, ...client === 'ioredis' ? { client: template } : { url: server.url } }
    return { factory: redisBackplane(options), isRemote: true, separatesReads: size === 1 || size === 5, remove: () => server.call('FLUSHALL') }
  })
})
