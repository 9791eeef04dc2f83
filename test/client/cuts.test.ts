import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Test, test } from 'tap'
import { sse } from '../../lib/client/index.js'
import { listen, makeApp, until } from '../harness.js'
import { type Random, randomFrom, seed } from '../integration/random.js'
import { serveTopics } from '../subscriber.js'

const CLIENTS = 10
const CUTS = 1_000

/** Passes connections on, and cuts each after so many bytes of what it is answered, in one way or another. */
async function cut (t: Test, port: number, random: Random): Promise<{ port: number, cuts: () => number }> {
  let cuts = 0
  const clients = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port })
    let left = 1 + random(1_500)
    clients.add(near)
    near.on('error', () => {}).on('close', () => far.destroy()).pipe(far)
    far.on('error', () => {}).on('close', () => near.destroy()).on('data', (data) => {
      if (left === 0) return
      near.write(data.subarray(0, left))
      left = Math.max(0, left - data.length)
      if (left > 0 || cuts >= CUTS) return
      cuts++
      if (random(2) === 0) near.end()
      else setImmediate(() => near.resetAndDestroy())
    })
    if (cuts >= CUTS) left = Infinity
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    // fetch connects once more when it is left
    for (const client of clients) client.destroy()
    server.close()
  })
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, cuts: () => cuts }
}

test(`${CUTS} random cuts cost no event, and bring none twice`, async (t) => {
  const random = randomFrom(seed)
  const app = await makeApp(t, { heartbeat: 5, history: { size: 100_000 } })
  serveTopics(app)
  const proxy = await cut(t, await listen(app), random)
  const published: string[] = []
  const clients = Array.from({ length: CLIENTS }, async () => {
    const ids: unknown[] = []
    for await (const { id, event, data } of sse(`http://127.0.0.1:${proxy.port}/on/news`, { text: true, lastEventId: '0-0', retry: { delay: 2, maxDelay: 4 }, silence: 5_000 })) {
      if (event === 'gap') t.same(ids, [], 'that of the beginning')
      else ids.push(id)
      if (data === 'over') break
    }
    return ids
  })
  await until('the cuts', async () => {
    published.push(await app.sse.publish('news', 'aé€𝄞'.repeat(random(40) + 1)))
    return proxy.cuts() >= CUTS
  }, 60_000)
  published.push(await app.sse.publish('news', 'over'))
  for (const ids of await Promise.all(clients)) t.strictSame(ids, published, `seed ${seed}`)
  const { opened } = app.sse.stats()
  t.comment(`${published.length} events, ${opened} streams, ${proxy.cuts()} cuts`)
  t.ok(opened > CUTS / 2)
})
