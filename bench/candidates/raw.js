import { once } from 'node:events'
import { createServer } from 'node:http'
import { events, HEARTBEAT, INTERVAL, text, TOPICS } from '../event.js'
import { Lateness } from '../lateness.js'

const HEAD = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' }

/** Candidate: node:http by hand, without a library. */
export async function open () {
  const ticks = { on: false, sent: 0 }
  const lateness = new Lateness()
  const feed = new Set()
  const sockets = new Set()
  const log = []

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://localhost')
    res.writeHead(200, HEAD)
    switch (url.pathname) {
      case '/feed': {
        res.flushHeaders()
        feed.add(res)
        res.on('close', () => feed.delete(res))
        break
      }
      case '/chunks': {
        res.flushHeaders()
        sockets.add(res.socket)
        res.on('close', () => sockets.delete(req.socket))
        break
      }
      case '/interval': {
        res.flushHeaders()
        let seq = 0
        const timer = setInterval(() => {
          if (!ticks.on) return
          res.write(text(seq++))
          ticks.sent++
        }, INTERVAL)
        res.on('close', () => clearInterval(timer))
        break
      }
      case '/lateness': {
        res.flushHeaders()
        let seq = 0
        const tick = lateness.stream()
        const timer = setInterval(() => {
          if (!ticks.on) return
          tick()
          res.write(text(seq++))
          ticks.sent++
        }, INTERVAL)
        res.on('close', () => clearInterval(timer))
        break
      }
      case '/heartbeat': {
        res.flushHeaders()
        feed.add(res)
        const timer = setInterval(() => res.write(':\n\n'), HEARTBEAT)
        res.on('close', () => {
          feed.delete(res)
          clearInterval(timer)
        })
        break
      }
      case '/source': {
        for await (const { event, data } of events(Number(url.searchParams.get('count')))) {
          if (!res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) await once(res, 'drain')
        }
        res.end()
        break
      }
      case '/replay': {
        const topics = new Set(TOPICS)
        const after = Number(url.searchParams.get('lastEventId'))
        for (const { id, topic, text } of log) if (id > after && topics.has(topic)) res.write(text)
        feed.add(res)
        res.on('close', () => feed.delete(res))
        break
      }
      case '/three': {
        for (let seq = 0; seq < 3; seq++) res.write(text(seq))
        res.end()
      }
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: server.address().port,
    ticks,
    lateness,
    fill (count) {
      for (let seq = 0; seq < count; seq++) log.push({ id: seq + 1, topic: TOPICS[seq % TOPICS.length], text: `id: ${seq + 1}\n${text(seq)}` })
      return 0
    },
    publish (data, path) {
      const event = `event: price\ndata: ${JSON.stringify(data)}\n\n`
      if (path === '/chunks') {
        const chunk = Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`)
        for (const socket of sockets) socket.write(chunk)
      } else {
        for (const res of feed) res.write(event)
      }
    }
  }
}
