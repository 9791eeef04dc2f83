import { connect } from 'node:net'
import { answer } from './child.js'

// Process of clients that measure the delay of events. Each client must receive every event, in order.

const PATIENCE = 30_000

let clients = []
let latencies = []

class Client {
  received = 0
  #rest = ''

  constructor (port, opened) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.setEncoding('latin1').setNoDelay()
    this.socket.once('data', opened)
    this.socket.on('data', (text) => {
      const now = Number(process.hrtime.bigint())
      this.#rest += text
      const end = this.#rest.lastIndexOf('\n\n')
      if (end === -1) return
      for (const [, seq, sent] of this.#rest.slice(0, end).matchAll(/\ndata: {"seq":(\d+),"sent":(\d+)}/g)) {
        if (Number(seq) !== this.received) throw new Error(`event ${seq} where ${this.received} is due`)
        this.received++
        latencies.push((now - Number(sent)) / 1e6)
      }
      this.#rest = this.#rest.slice(end + 1)
    })
    this.socket.write('GET /feed HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n')
  }
}

answer({
  async open ({ port, count }) {
    for (let i = 0; i < count; i++) await new Promise((resolve) => clients.push(new Client(port, resolve)))
  },

  /** Waits until each client has got `each` events so far; how long those since the last call took, ms. */
  async received (each) {
    const end = Date.now() + PATIENCE
    while (clients.some(({ received }) => received < each)) {
      if (Date.now() > end) throw new Error(`some clients have not got ${each} events`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const sorted = latencies.sort((a, b) => a - b)
    latencies = []
    return { p50: sorted[Math.floor(sorted.length * 0.5)], p99: sorted[Math.floor(sorted.length * 0.99)] }
  },

  close () {
    for (const { socket } of clients) socket.destroy()
    clients = []
  }
})
