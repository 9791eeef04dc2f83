import { setTimeout as wait } from 'node:timers/promises'
import type { Random } from './random.js'
import { Subscriber } from './subscriber.js'

export const TOPICS = Array.from({ length: 10 }, (_, i) => `topic-${i}`)

/** A client of some topics that drops at random, perhaps in the middle of an event, and comes back. */
export class Hopper extends Subscriber {
  readonly topics: readonly string[]
  readonly #where: () => number
  readonly #random: Random
  readonly #slow: boolean
  /** The newest event, once all are published: then it stays until it has that. */
  #newest: string | null = null

  /** @param where the port that it goes to, asked each time */
  constructor (where: () => number, path: string, random: Random) {
    const topics = TOPICS.filter(() => random(3) === 0)
    if (topics.length === 0) topics.push(TOPICS[random(TOPICS.length)] ?? '')
    super(0, `${path}?${topics.join()}`)
    this.topics = topics
    this.#where = where
    this.#random = random
    this.#slow = random(5) === 0
  }

  /** Comes for the first time, so that it holds an id. */
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

  /** Goes, perhaps for long, and comes back until so much time or so many characters are over. */
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
