import { test } from 'tap'
import { sse } from '../../lib/client/index.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { randomFrom, seed } from '../integration/random.js'
import { serveTopics } from '../helpers/subscriber.js'
import { startFlakyProxy } from '../helpers/flaky-proxy.js'

const CLIENTS = 10
const CUTS = 1_000

test(`${CUTS} random cuts lose and repeat no event`, async (t) => {
  const random = randomFrom(seed)
  const app = await makeApp(t, { heartbeat: 5, history: { size: 100_000 } })
  serveTopics(app)
  const proxy = await startFlakyProxy(t, await listen(app), random)
  proxy.maxDisconnects = CUTS
  const published: string[] = []
  const clients = Array.from({ length: CLIENTS }, async () => {
    const ids: unknown[] = []
    for await (const { id, event, data } of sse(`http://127.0.0.1:${proxy.port}/on/news`, { text: true, lastEventId: '0-0', retry: { delay: 2, maxDelay: 4 }, inactivityTimeout: 5_000 })) {
      if (event === 'gap') t.same(ids, [], 'that of the beginning')
      else ids.push(id)
      if (data === 'over') break
    }
    return ids
  })
  await until('the cuts', async () => {
    published.push(await app.sse.publish('news', 'aé€𝄞'.repeat(random(40) + 1)))
    return proxy.disconnects >= CUTS
  }, 60_000)
  published.push(await app.sse.publish('news', 'over'))
  for (const ids of await Promise.all(clients)) t.strictSame(ids, published, `seed ${seed}`)
  const { opened } = app.sse.stats()
  t.comment(`${published.length} events, ${opened} streams, ${proxy.disconnects} cuts`)
  t.ok(opened > CUTS / 2)
})
