import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { makeApp } from '../helpers/app.js'
import { Log, reader } from '../../lib/testing/backplane/log.js'
import { follow, hubOf, serveTopics, take } from '../helpers/subscriber.js'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Returns the heap in use after a garbage collection, MB. */
function heap (): number {
  collectGarbage()
  return process.memoryUsage().heapUsed / 1e6
}

test('1,000,000 events on a busy topic do not cost a quiet topic its only event', async (t) => {
  const app = await makeApp(t)
  serveTopics(app)
  const start = hubOf(app).newest
  const id = await app.sse.publish('quiet', 'the only one')
  const before = heap()
  const text = 'x'.repeat(350)
  for (let i = 0; i < 1_000_000; i++) await app.sse.publish('busy', `${i} ${text}`)
  const after = heap()
  t.comment(`heap ${before.toFixed(1)} MB before the events of the busy topic, ${after.toFixed(1)} MB after`)
  t.ok(after - before < 5, 'the heap holds the history of the busy topic, 1,000 events')
  const stream = await follow(app, 'quiet', start)
  t.strictSame(await take(stream, 1), [{ id, event: 'message', data: 'the only one' }])
  t.match(app.sse.stats(), { gaps: 0, replayed: 1 })
})

test('1,000,000 topics that are each used once stay within maxBytes, by default 64 MB', async (t) => {
  const log = await new Log(new MemoryBackplane({ size: 1_000, maxAge: 3_600_000, maxBytes: 67_108_864 }), 10_000).open()
  t.teardown(() => log.backplane.close())
  const { backplane } = log
  const before = heap()
  const publish = (i: number) => backplane.publish({ to: 'topic', names: [`order:${i}`], except: null, limits: null, frame: `data: ${i} ${'x'.repeat(100)}\n\n` })
  let peak = 0
  let last = ''
  for (let i = 0; i < 1_000_000; i++) {
    last = await publish(i)
    log.received.length = log.order.length = log.positions.length = 0
    if (i % 500_000 === 499_999) peak = Math.max(peak, heap())
  }
  t.comment(`heap ${before.toFixed(1)} MB before, up to ${peak.toFixed(1)} MB with the events`)
  t.ok(peak - before < 90, `${(peak - before).toFixed(1)} MB`)
  const lost = await backplane.read(log.start, reader(['order:0']), 9)
  t.ok(lost.gap !== null && lost.events.length === 0, 'the loss of an old topic is known')
  const kept = await backplane.read(lost.gap?.lastMissedId ?? '', reader(['order:999999']), 9)
  t.strictSame([kept.gap, kept.events.map((event) => event.id)], [null, [last]])
})
