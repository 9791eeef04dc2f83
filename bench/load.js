import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'
import { Events, Group } from './group.js'

// Process of all clients of one candidate. It compares every event with the expected one.

/** Number of connections that are opened at the same time. */
const AT_ONCE = 100
const LAST_CHUNK = '\r\n0\r\n\r\n'

/** One connection with one stream. */
class Client {
  #head = ''
  #open = false

  constructor (group, { port, path, enough }, { opened, ended = () => {} }) {
    this.events = new Events(group)
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('latin1').setNoDelay()
    this.socket.on('error', (error) => group.failed(error))
    this.socket.on('data', (text) => {
      if (this.#open) this.events.read(text)
      else this.#readHead(group, text, opened)
      if (this.events.received === enough || this.events.endsWith(LAST_CHUNK)) ended(this)
    })
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`)
  }

  #readHead (group, text, opened) {
    this.#head += text
    const end = this.#head.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#head.slice(0, end)
    if (!head.startsWith('HTTP/1.1 200') || !/\r\ncontent-type: text\/event-stream/i.test(head)) group.failed(new Error(head))
    this.#open = true
    opened?.()
    // the line break before the first chunk belongs to the head and to the pattern of the last chunk
    this.events.read(this.#head.slice(end + 2))
  }
}

/** Calls `task` a number of times, some at the same time. */
async function times (count, task) {
  let left = count
  await Promise.all(Array.from({ length: Math.min(count, AT_ONCE) }, async () => {
    while (left-- > 0) await task()
  }))
}

const group = new Group()

answer({
  /** Opens `count` more streams and keeps them open. */
  async open ({ port, path, count }) {
    await Promise.race([group.failure, times(count, () => new Promise((resolve) => {
      group.clients.push(new Client(group, { port, path }, { opened: resolve }))
    }))])
  },

  /**
   * Opens `count` streams that stay open, spread over `time` ms. Resolves when each has received `events` events.
   * Returns the time that took, ms.
   */
  async storm ({ port, path, count, time, events }) {
    const start = performance.now()
    for (let i = 0; i < count; i++) {
      group.clients.push(new Client(group, { port, path }, {}))
      const ahead = start + time * i / count - performance.now()
      if (ahead > 1) await Promise.race([group.failure, sleep(ahead)])
    }
    await group.until(count * events)
    return performance.now() - start
  },

  /** Resolves when each client has received `each` events so far, or all together have received `all` if the clients differ. */
  async received ({ each, all }) {
    await group.until(all ?? each * group.clients.length)
    if (each === undefined) return
    for (const { events: { received } } of group.clients) if (received !== each) throw new Error(`a client has ${received} events, ${each} were sent`)
  },

  /** Returns the number of comments that all clients have received so far. */
  comments: () => group.comments,

  /** `count` times: connect, ask, read `events` events, and the end if `ends`, close. */
  async visit ({ port, path, count, events, ends = true }) {
    const visitors = new Group()
    await Promise.race([visitors.failure, times(count, () => new Promise((resolve) => {
      const client = new Client(visitors, { port, path, enough: ends ? undefined : events }, {
        ended () {
          client.socket.destroy()
          if (client.events.received === events) resolve()
          else visitors.failed(new Error(`${client.events.received} of ${events} events`))
        }
      })
    }))])
  }
})
