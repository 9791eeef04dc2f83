import { EventSource } from 'eventsource'
import type { Test } from 'tap'
import { until } from '../../helpers/until.js'

/** An event as an EventSource dispatches it. */
export interface Heard {
  event: string
  data: string
}

/** An EventSource that records the events of some names. It is closed at the end of the test. */
export class Listener {
  readonly heard: Heard[] = []
  /** The id of the last event that the EventSource has dispatched; empty if it had none. */
  lastEventId = ''
  readonly #source: EventSource
  #opened = false

  constructor (t: Test, url: string, names: readonly string[], headers: Record<string, string> = {}) {
    this.#source = new EventSource(url, { fetch: (address, init) => fetch(address, { ...init, headers: { ...init.headers, ...headers } }) })
    this.#source.addEventListener('open', () => { this.#opened = true })
    for (const name of names) this.#source.addEventListener(name, (event) => this.#record(name, event))
    t.teardown(() => this.close())
  }

  #record (event: string, { data, lastEventId }: { data: string, lastEventId: string }): void {
    this.heard.push({ event, data })
    this.lastEventId = lastEventId
  }

  /** Waits until the response has begun. */
  async opened (): Promise<this> {
    await until('an open EventSource', () => this.#opened)
    return this
  }

  /** Waits for the first so many events, and returns the name and the data of each. */
  async first (count: number): Promise<Heard[]> {
    await until(`${count} events, of which came ${JSON.stringify(this.heard)}`, () => this.heard.length >= count, 10_000)
    return this.heard.slice(0, count)
  }

  close (): void {
    this.#source.close()
  }
}

export function post (url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })
}
