import { once } from 'node:events'
import { createServer } from 'node:http'
import { createClient } from 'redis'

/** Candidate: node:http with Redis' PUBLISH and SUBSCRIBE by hand. Events published while a client is disconnected are lost. */
export async function open () {
  const feed = new Set()
  const publisher = await createClient({ url: process.env.REDIS_URL }).connect()
  const subscriber = await publisher.duplicate().connect()
  await subscriber.subscribe('feed', (event) => { for (const res of feed) res.write(event) })

  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' })
    res.flushHeaders()
    feed.add(res)
    res.on('close', () => feed.delete(res))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    publish: (data, path) => publisher.publish(path.slice(1), `event: price\ndata: ${JSON.stringify(data)}\n\n`)
  }
}
