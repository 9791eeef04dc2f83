import { once } from 'node:events'
import { type Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { TOPICS } from '../integration/hopper.js'
import type { Random } from '../integration/random.js'
import type { Published } from '../integration/subscriber.js'

/** Audience of an event: a topic, or all (null). */
type Audience = string | null

export interface Sent extends Published {
  topic: Audience
}

/** Publishes through any server, mostly one event at a time, and records each result. */
export class Publishers {
  /** Events that the servers confirmed. */
  readonly accepted: Sent[] = []
  /** For whom the events were that no Redis took; they may be stored all the same. By their data, which no other has. */
  readonly rejected = new Map<string, Audience>()
  readonly faults: string[] = []
  readonly #where: () => number
  readonly #agent: Agent
  readonly #random: Random
  #stopped = false
  #made = 0

  /** @param where the port of a server, asked each time */
  constructor (where: () => number, agent: Agent, random: Random) {
    this.#where = where
    this.#agent = agent
    this.#random = random
  }

  async run (): Promise<void> {
    const random = this.#random
    while (!this.#stopped) {
      // more events at once than the streams with small buffers can hold
      const count = random(25) === 0 ? 40 : 1
      const topic = random(30) === 0 ? null : TOPICS[random(TOPICS.length)] ?? null
      await Promise.all(Array.from({ length: count }, () => this.publish(topic)))
      if (random(4) === 0) await this.#post(`/log/topics/${random(2) === 0 ? 'a' : 'b'}`, 'x')
      if (random(8) === 0) await this.#post('/clients/somebody', 'x')
      await wait(random(120))
    }
  }

  stop (): void {
    this.#stopped = true
  }

  /** Publishes one event. Returns its id, or null if no Redis took it. */
  async publish (topic: Audience): Promise<string | null> {
    const random = this.#random
    // a unique text of one or two lines, with characters of one to four bytes
    const data = `${this.#made++} ${'aé€𝄞'.repeat(random(60))}${'\n…'.repeat(random(2))}`
    const id = await this.#post(topic === null ? '/all' : `/log/topics/${topic}`, data)
    if (id === null) this.rejected.set(data, topic)
    else this.accepted.push({ id, topic, data })
    return id
  }

  async #post (path: string, data: string): Promise<string | null> {
    const { status, body } = await this.#ask(path, data)
    if (status === 200) return body
    if (!body.includes('SSE_ERR_BACKPLANE')) this.faults.push(`POST ${path} was answered ${status} ${body}`)
    return null
  }

  async #ask (path: string, data: string): Promise<{ status: number | undefined, body: string }> {
    const asked = request({ host: '127.0.0.1', port: this.#where(), path, method: 'POST', agent: this.#agent, headers: { 'content-type': 'text/plain' } })
    asked.end(data)
    try {
      const [response] = await once(asked, 'response') as [IncomingMessage]
      return { status: response.statusCode, body: await text(response) }
    } catch (error) {
      return { status: undefined, body: String(error) }
    }
  }
}
