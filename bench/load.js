import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'
import { data } from './event.js'

// Process of all clients of one candidate. It compares every event with the expected one.

/** Number of connections that are opened at the same time. */
const AT_ONCE = 100
const PATIENCE = 20_000
const LAST_CHUNK = '\r\n0\r\n\r\n'

const known = []

/** Returns the data of an event as text, cached because all clients of a fan-out compare with the same one. */
function json (seq) {
  const slot = seq & 1023
  if (known[slot]?.seq !== seq) known[slot] = { seq, json: JSON.stringify(data(seq)) }
  return known[slot].json
}

/** Clients, and the promises that wait for their events. */
class Group {
  clients = []
  received = 0
  heartbeats = 0
  /** Rejects with the first error of any client. */
  failure = new Promise((resolve, reject) => { this.failed = reject })
  #wanted = Infinity
  #reached

  constructor () {
    this.failure.catch(() => {})
  }

  arrived (count) {
    this.received += count
    if (this.received >= this.#wanted) this.#reached()
  }

  /** Resolves when all clients together have received `wanted` events. */
  async until (wanted) {
    let timer
    await Promise.race([this.failure, new Promise((resolve, reject) => {
      this.#wanted = wanted
      this.#reached = resolve
      timer = setTimeout(() => reject(new Error(`${this.received} of ${wanted} events after ${PATIENCE} ms`)), PATIENCE)
      this.arrived(0)
    })])
    clearTimeout(timer)
    this.#wanted = Infinity
    if (this.received !== wanted) throw new Error(`${this.received} events, ${wanted} were sent`)
  }
}

/** One connection with one stream. */
class Client {
  received = 0
  #rest = ''
  #open = false

  constructor (group, { port, path, enough }, { opened, ended = () => {} }) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('latin1').setNoDelay()
    this.socket.on('error', (error) => group.failed(error))
    this.socket.on('data', (text) => {
      this.#rest += text
      if (!this.#open) this.#readHead(group, opened)
      if (this.#open) this.#readEvents(group)
      if (this.received === enough || this.#rest.endsWith(LAST_CHUNK)) ended(this)
    })
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n`)
  }

  #readHead (group, opened) {
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#rest.slice(0, end)
    if (!head.startsWith('HTTP/1.1 200') || !/\r\ncontent-type: text\/event-stream/i.test(head)) group.failed(new Error(head))
    // the line break before the first chunk belongs to the head and to the pattern of the last chunk
    this.#rest = this.#rest.slice(end + 2)
    this.#open = true
    opened?.()
  }

  #readEvents (group) {
    let from = 0
    const before = this.received
    for (let end = this.#rest.indexOf('\n\n'); end !== -1; end = this.#rest.indexOf('\n\n', from)) {
      const event = this.#rest.slice(from, end)
      // a block without data is no event
      const field = event.indexOf('\ndata:')
      if (field === -1) group.heartbeats++
      else {
        // the space after the colon is optional
        if (!event.startsWith(json(this.received), field + (event[field + 6] === ' ' ? 7 : 6))) group.failed(new Error(`not event ${this.received}: ${event}`))
        this.received++
      }
      from = end + 2
    }
    this.#rest = this.#rest.slice(from)
    if (this.received > before) group.arrived(this.received - before)
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
    for (const { received } of group.clients) if (received !== each) throw new Error(`a client has ${received} events, ${each} were sent`)
  },

  /** Returns the number of comments and other blocks without data that all clients have received so far. */
  heartbeats: () => group.heartbeats,

  /** `count` times: connect, ask, read `events` events, and the end if `ends`, close. */
  async visit ({ port, path, count, events, ends = true }) {
    const visitors = new Group()
    await Promise.race([visitors.failure, times(count, () => new Promise((resolve) => {
      const client = new Client(visitors, { port, path, enough: ends ? undefined : events }, {
        ended () {
          client.socket.destroy()
          if (client.received === events) resolve()
          else visitors.failed(new Error(`${client.received} of ${events} events`))
        }
      })
    }))])
  }
})
