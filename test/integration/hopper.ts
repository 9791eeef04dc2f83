import { setTimeout as wait } from 'node:timers/promises'
import type { Random } from './random.js'
import { Subscriber } from './subscriber.js'

export const TOPICS = Array.from({ length: 10 }, (_, i) => `topic-${i}`)

/** A client of some topics that disconnects at random, also in the middle of an event, and reconnects. */
export class Hopper extends Subscriber {
  readonly topics: readonly string[]
  readonly #where: () => number
  readonly #random: Random
  readonly #slow: boolean
  /** Id of the newest event once all are published: from then on the client stays connected until it has that event. */
  #newest: string | null = null

  /** @param where returns the port for each connection */
  constructor (where: () => number, path: string, random: Random) {
    const topics = TOPICS.filter(() => random(3) === 0)
    if (topics.length === 0) topics.push(TOPICS[random(TOPICS.length)] ?? '')
    super(0, `${path}?${topics.join()}`)
    this.topics = topics
    this.#where = where
    this.#random = random
    this.#slow = random(5) === 0
  }

  /** Connects for the first time, so that the client has an id. */
  async start (): Promise<void> {
    await this.visit((text) => {
      queueMicrotask(() => this.leave())
      return text
    })
  }

  async run (): Promise<void> {
    while (this.#newest === null || this.lastEventId !== this.#newest) {
      await (this.#newest === null ? this.#hop() : this.#stay())
    }
  }

  finish (newest: string): void {
    this.#newest = newest
    this.leave()
  }

  override visit (...reader: Parameters<Subscriber['visit']>): Promise<void> {
    this.port = this.#where()
    return super.visit(...reader)
  }

  /** Waits, sometimes long, then connects until a time limit or a number of characters is reached. */
  async #hop (): Promise<void> {
    const random = this.#random
    await wait(random(12) === 0 ? 300 + random(700) : random(150))
    let left = random(2) === 0 ? random(100_000) : Infinity
    let timer = random(8) === 0 ? setTimeout(() => this.leave(), random(5)) : undefined
    await this.visit((text, response) => {
      timer ??= setTimeout(() => this.leave(), random(700))
      const read = text.slice(0, Math.max(0, left))
      left -= text.length
      if (left <= 0) this.leave()
      else if (this.#slow) this.#rest(response)
      return read
    })
    clearTimeout(timer)
  }

  async #stay (): Promise<void> {
    await this.visit((text) => {
      queueMicrotask(() => { if (this.lastEventId === this.#newest) this.leave() })
      return text
    })
  }

  #rest (response: NonNullable<Subscriber['response']>): void {
    response.pause()
    setTimeout(() => response.resume(), this.#random(100))
  }
}
