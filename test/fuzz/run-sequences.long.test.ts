import { test } from 'tap'
import { redisBackplane } from '../../lib/redis/index.js'
import { testRedis } from '../helpers/redis-server.js'
import { runSequencesOfRuns } from './run-model.js'
import { numRuns } from './runs.js'

const inMemory = numRuns(300)
test(`readers that come and go have the events of a small model of runs: ${inMemory} sequences`, async (t) => {
  await runSequencesOfRuns(t, inMemory, 1, () => undefined)
})

const overRedis = numRuns(30)
testRedis(`readers that come and go in three processes have the events of a small model of runs: ${overRedis} sequences`, async (t, server) => {
  // not stored on disk, because nothing restarts
  await server.call('CONFIG', 'SET', 'appendonly', 'no')
  let logs = 0
  await runSequencesOfRuns(t, overRedis, 3, () => redisBackplane({ url: server.url, key: `log ${++logs}` }))
})
