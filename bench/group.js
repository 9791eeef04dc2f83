import { data } from './event.js'

const PATIENCE = 20_000

const known = []

/** Returns the data of an event as text, cached because all clients of a fan-out compare with the same one. */
function json (seq) {
  const slot = seq & 1023
  if (known[slot]?.seq !== seq) known[slot] = { seq, json: JSON.stringify(data(seq)) }
  return known[slot].json
}

/** Clients, and the promises that wait for their events. */
export class Group {
  clients = []
  received = 0
  comments = 0
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

/** Reads the text of one stream, and compares each event with the expected one. */
export class Events {
  received = 0
  #rest = ''
  #group

  constructor (group) {
    this.#group = group
  }

  /** Reads the next part of the text. It starts with an event or the rest of one, or with the line break before it. */
  read (text) {
    const group = this.#group
    if (text.includes('\n:')) group.comments += text.split('\n:').length - 1
    const rest = this.#rest + text
    let from = 0
    const before = this.received
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n', from)) {
      const event = rest.slice(from, end)
      // a block without data is no event
      const field = event.indexOf('\ndata:')
      if (field !== -1) {
        // the space after the colon is optional
        if (!event.startsWith(json(this.received), field + (event[field + 6] === ' ' ? 7 : 6))) group.failed(new Error(`not event ${this.received}: ${event}`))
        this.received++
      }
      from = end + 2
    }
    this.#rest = rest.slice(from)
    if (this.received > before) group.arrived(this.received - before)
  }

  /** Returns true if the text that was read so far ends with `text`. */
  endsWith (text) {
    return this.#rest.endsWith(text)
  }
}
