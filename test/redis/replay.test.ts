import { listen, open } from '../harness.js'
import { eventsOf } from '../subscriber.js'
import { publishFromOutside, startApp } from './app.js'
import { openProxy } from './proxy.js'
import { testRedis } from './server.js'

testRedis('a client comes to a process that is behind the one it comes from', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const { app } = await startApp(t, { url: proxy.url })
  await app.sse.publish('news', '0')
  const port = await listen(app)
  proxy.stall('XREAD')
  const ids: string[] = []
  for (let i = 1; i <= 5; i++) ids.push(await publishFromOutside(server, 'news', String(i)))
  const clients = await Promise.all(ids.map((id) => open(t, port, '/on/news', { headers: { 'last-event-id': id } })))
  proxy.resume()
  const last = await app.sse.publish('news', 'last')
  for (const [i, client] of clients.entries()) {
    await client.until(`id: ${last}\n`)
    t.strictSame(eventsOf(client.text).map(({ id }) => id), [...ids.slice(i + 1), last], 'it gets what it does not have')
  }
  t.equal(app.sse.stats().gaps, 0)
})
