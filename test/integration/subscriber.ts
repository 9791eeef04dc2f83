import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import { createParser } from 'eventsource-parser'
import { compareEventIds } from '../../lib/event/id.js'

/** An event of a subscriber's topics: its id, and its data as a client reads it. */
export interface Published {
  id: string
  data: string
}

/** An event that a subscriber received. */
interface Received extends Published {
  event: string
  /** Last event id of the subscriber before this event. */
  held: string | null
}

/** Decides how much of a text the subscriber reads. */
type Reader = (text: string, response: IncomingMessage) => string

/** A client that connects and disconnects, and keeps all events it received. It updates its last event id as the standard says. */
export class Subscriber {
  /** Last-Event-ID of the next connection. A blank line sets it, so that an `id:` line without one has no effect. */
  lastEventId: string | null
  readonly received: Received[] = []
  response: IncomingMessage | null = null
  /** Port of the next connection. */
  port: number
  readonly #path: string
  #request: ClientRequest | null = null
  /** First id that it received. Earlier events are not for this subscriber. */
  #since: string | null

  constructor (port: number, path: string, lastEventId: string | null = null) {
    this.port = port
    this.#path = path
    this.#since = this.lastEventId = lastEventId
  }

  /** Connects or reconnects. Resolves when either side has ended the connection. */
  async visit (read: Reader = (text) => text): Promise<void> {
    const headers = this.lastEventId === null ? {} : { 'last-event-id': this.lastEventId }
    const feed = this.#listen()
    this.response = null
    const request = this.#request = get({ host: '127.0.0.1', port: this.port, path: this.#path, agent: false, headers })
    await new Promise<void>((resolve) => {
      request.on('error', () => {}).on('response', (response) => {
        this.response = response
        response.setEncoding('utf8').on('error', () => {}).on('close', resolve)
        response.on('data', (text: string) => { feed(read(text, response)) })
      })
      // the rest of the response may still have to be read
      request.on('close', () => { if (this.response === null) resolve() })
    })
  }

  leave (): void {
    this.#request?.destroy()
    this.response?.destroy()
  }

  /** Compares the received events with those of its topics, oldest first. Returns the faults and the number of missed events. */
  account (published: readonly Published[]): { faults: string[], missed: number } {
    const faults: string[] = []
    const { received } = this
    const since = this.#since ?? 'no id at all'
    const due = new Map(published.filter(({ id }) => compareEventIds(since, id) < 0).map(({ id, data }) => [id, data]))
    let before = since
    for (const { id, event, data, held } of received) {
      if (compareEventIds(before, id) >= 0) faults.push(`${event} ${id} came after ${before}`)
      if (event === 'gap') {
        const { lastEventId } = JSON.parse(data)
        if (lastEventId !== held) faults.push(`the gap ${id} is said to begin at ${lastEventId}, not at ${held}`)
      } else if (due.get(id) !== data) {
        faults.push(`${id} is not one that its topics had: ${data}`)
      } else {
        due.delete(id)
      }
      before = id
    }
    // A gap follows the events of other topics that are older than the loss. If the client disconnects between them, the next connection has the gap.
    const newestGap = received.findLast(({ event }) => event === 'gap')?.id ?? '0-0'
    for (const id of due.keys()) {
      if (compareEventIds(id, newestGap) > 0) faults.push(`${id} is missing, and no gap tells of it`)
    }
    return { faults, missed: due.size }
  }

  /** A parser for one connection. It gets one line at a time, so that an event is known before its id is stored. */
  #listen (): (text: string) => void {
    const parser = createParser({
      onEvent: ({ id = '', event = 'message', data }) => { this.received.push({ id, event, data, held: this.lastEventId }) }
    })
    let [line, id] = ['', this.lastEventId]
    return (text) => {
      const lines = (line + text).split('\n')
      line = lines.pop() ?? ''
      for (const whole of lines) {
        parser.feed(`${whole}\n`)
        if (whole.startsWith('id:')) id = whole.slice(3).trimStart()
        else if (whole === '') this.#hold(id)
      }
    }
  }

  #hold (id: string | null): void {
    this.#since ??= id
    this.lastEventId = id
  }
}
