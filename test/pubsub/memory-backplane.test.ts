import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { testBackplane } from '../backplane-suite.js'
import { until } from '../helpers/until.js'

testBackplane('in process', (history) => new MemoryBackplane(history))

test('the log in memory is cut at exactly its size and age', async (t) => {
  const backplane = new MemoryBackplane({ size: 3, maxAge: 200 })
  const start = backplane.newest
  await backplane.open({ onEvent () {}, onGap () {} })
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push(await backplane.publish('all', '', 'data: x\n\n'))
  const { gap, events } = backplane.read(start, 10)
  t.same(gap, { oldestId: ids[2], lastMissedId: ids[1] })
  t.same(events.map(({ id }) => id), ids.slice(2))
  await until('the end of their time', () => backplane.oldestId === null)
  t.same(backplane.read(start, 10), { gap: { oldestId: null, lastMissedId: ids[4] }, events: [] })
  await backplane.close()
})

test('the log in memory does not know a position of an earlier process', async (t) => {
  const history = { size: 10, maxAge: 0 }
  const earlier = new MemoryBackplane(history)
  const { newest } = earlier
  await until('the next ms', () => !newest.startsWith(`${Date.now()}-`))
  const backplane = new MemoryBackplane(history)
  t.same(backplane.read(newest, 10), { gap: { oldestId: null, lastMissedId: backplane.newest }, events: [] })
})
