import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { testBackplane } from '../../lib/testing/backplane/index.js'
import { reader } from '../../lib/testing/backplane/log.js'
import { until } from '../helpers/until.js'

testBackplane(test, (history) => new MemoryBackplane(history))

const listener = { onEvent () {}, onControl () {}, onGap () {} }

test('the log in memory is cut at exactly its size and age', async (t) => {
  const backplane = new MemoryBackplane({ size: 3, maxAge: 200, maxBytes: 1e6 })
  const start = backplane.newest
  await backplane.open(listener)
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push(backplane.publish({ to: 'all', names: [], except: null, limits: null, frame: 'data: x\n\n' }))
  const { gap, events } = backplane.read(start, reader([]), 10)
  t.same(gap, { oldestId: ids[2], lastMissedId: ids[1] })
  t.same(events.map(({ id }) => id), ids.slice(2))
  await until('the end of their time', () => backplane.oldestId === null)
  t.same(backplane.read(start, reader([]), 10), { gap: { oldestId: null, lastMissedId: ids[4] }, events: [], position: ids[4] })
  await backplane.close()
})

test('the log in memory does not know a position of an earlier process', async (t) => {
  const history = { size: 10, maxAge: 0, maxBytes: 1e6 }
  const earlier = new MemoryBackplane(history)
  const { newest } = earlier
  await until('the next ms', () => !newest.startsWith(`${Date.now()}-`))
  const backplane = new MemoryBackplane(history)
  const position = backplane.newest
  t.same(backplane.read(newest, reader(['news']), 10), { gap: { oldestId: null, lastMissedId: position }, events: [], position })
})

test('an unknown id in a log in memory that has all of its events is a gap', async (t) => {
  const backplane = new MemoryBackplane({ size: 10, maxAge: 0, maxBytes: 1e6 })
  await backplane.open(listener)
  const publish = () => backplane.publish({ to: 'topic', names: ['news'], except: null, limits: null, frame: 'data: x\n\n' })
  const first = publish()
  const start = Date.now()
  await until('the next ms', () => Date.now() > start)
  const ids = [first, publish()]
  const [ms, n] = first.split('-')
  for (const unknown of [`${ms}-${Number(n) + 1}`, `${ms}-0`]) {
    const { gap, events } = backplane.read(unknown, reader(['news']), 10)
    t.equal(gap?.oldestId, first, 'between two events')
    t.same(events.map(({ id }) => id), ids)
  }
})
