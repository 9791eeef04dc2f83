import { once } from 'node:events'
import { connect } from 'node:http2'
import { answer } from './child.js'
import { Events, Group } from './group.js'

// Process of all HTTP/2 clients of one candidate. It compares every event with the expected one.

/** Default number of streams on a session. */
const PER_SESSION = 50

const group = new Group()

answer({
  /** Opens `count` streams on as many sessions as they need, and keeps them open. */
  async open ({ port, path, count, perSession = PER_SESSION }) {
    for (let left = count; left > 0; left -= perSession) {
      const session = connect(`http://127.0.0.1:${port}`)
      session.on('error', (error) => group.failed(error))
      await Promise.race([group.failure, Promise.all(Array.from({ length: Math.min(left, perSession) }, () => openStream(session, path)))])
    }
  },

  /** Resolves when each client has received `each` events so far. */
  async received ({ each }) {
    await group.until(each * group.clients.length)
    for (const { received } of group.clients) if (received !== each) throw new Error(`a client has ${received} events, ${each} were sent`)
  }
})

async function openStream (session, path) {
  const events = new Events(group)
  group.clients.push(events)
  const stream = session.request({ ':path': path, accept: 'text/event-stream' }).setEncoding('latin1')
  stream.on('error', (error) => group.failed(error)).on('data', (text) => events.read(text)).on('close', () => group.failed(new Error('a stream has closed')))
  const [headers] = await once(stream, 'response')
  if (headers[':status'] !== 200 || !/^text\/event-stream/.test(headers['content-type'])) group.failed(new Error(JSON.stringify(headers)))
}
