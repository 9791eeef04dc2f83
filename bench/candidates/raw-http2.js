import { once } from 'node:events'
import { createServer } from 'node:http2'

const HEAD = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' }

/** Candidate: node:http2 by hand. `/feed` has the events `stream` of the server, `/response` the response objects of Node's compatibility API. */
export async function open () {
  const feeds = { '/feed': new Set(), '/response': new Set() }
  const server = createServer()
  server.on('stream', (stream, { ':path': path }) => {
    if (path === '/response') return
    stream.respond({ ':status': 200, ...HEAD })
    feeds[path].add(stream)
    stream.on('close', () => feeds[path].delete(stream))
  })
  server.on('request', ({ url }, res) => {
    if (url !== '/response') return
    res.writeHead(200, HEAD)
    res.flushHeaders()
    feeds[url].add(res)
    res.on('close', () => feeds[url].delete(res))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: server.address().port,
    publish (data, path) {
      const event = `event: price\ndata: ${JSON.stringify(data)}\n\n`
      for (const writable of feeds[path]) writable.write(event)
    }
  }
}
