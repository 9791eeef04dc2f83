import { isEventId } from '../../lib/event/id.js'
import type { Audience } from '../../lib/backplane.js'
import type { CloseReason } from '../../lib/index.js'

/** An event in the log. */
export interface Logged {
  /** Set once `publish` has resolved, before it is read. */
  id: string
  readonly data: string
  readonly to: Audience
  readonly name: string
  readonly big: boolean
}

/** An event that a client is to get. Its text is a function, because ids are known later. */
export interface Due {
  readonly text: () => string
  /** Its place in the log; null for an event outside the log. */
  readonly index: number | null
  /** The custom id that it is sent with. */
  readonly id?: string
}

/** A client that connects, disconnects and reconnects, and its current or last stream. */
export class Client {
  /** True while the stream is open at the server. */
  open = false
  link: 'away' | 'reading' | 'paused' = 'away'
  readonly due: Due[] = []
  route: Route = 'topics'
  overflow: 'disconnect' | 'drop' = 'disconnect'
  clientId = ''
  topics = new Set<string>()
  /** True once the stream was subscribed to a topic. */
  followed = false
  /** The last event id of the request. */
  came = ''
  /** True while its ids are custom ones. */
  own = false
  /** Number of big events that wait for the paused client. */
  waiting = 0
  /** True if the paused client was sent more than fits into its buffers. */
  flooded = false
  /** True if the replay of the paused client is longer than fits into its buffers. */
  replaying = false
}

/** `plain` has a client id from its header, `unnamed` none. Neither has topics at first. */
export type Route = 'topics' | 'plain' | 'unnamed'

/** Number of big events that exceed the socket buffers and `maxBufferedBytes` together. */
export const FLOOD = 16

/** A minimal model of the plugin: a log, and for each client the events that it must get. */
export class Model {
  readonly log: Logged[] = []
  readonly clients = [new Client(), new Client(), new Client()]
  readonly closed: Record<CloseReason, number> = { client: 0, server: 0, drain: 0, overflow: 0, idle: 0, lifetime: 0, error: 0 }
  opened = 0
  resumed = 0
  over = false
  /** The number of the next event. */
  next = 0
  readonly #start: string
  readonly #size: number

  /** @param start position before the first event; @param size number of events that the log retains */
  constructor (start: string, size: number) {
    this.#start = start
    this.#size = size
  }

  client (number: number): Client {
    const client = this.clients[number]
    if (client === undefined) throw new RangeError(`there is no client ${number}`)
    return client
  }

  /** True if the log retains all events of a sequence. */
  get holdsAll (): boolean {
    return this.#size >= 1_000
  }

  /** The place of an id in the log; -1 before the first event, null for an unknown id. */
  positionOf (id: string): number | null {
    if (id === this.#start) return -1
    const index = this.log.findLastIndex((event) => event.id === id)
    return index === -1 ? null : index
  }

  publish (to: Audience, name: string, data: string, big: boolean): Logged {
    const event = { id: '', data, to, name, big }
    const index = this.log.push(event) - 1
    for (const client of this.clients) {
      if (!client.open || !concerns(client, event)) continue
      client.due.push({ text: () => data, index })
      if (big && client.link === 'paused' && !client.replaying && ++client.waiting === FLOOD) this.#behind(client)
    }
    return event
  }

  /** Records that a client has opened a stream. */
  arrive (client: Client, came: string): void {
    Object.assign(client, { open: true, link: 'reading', came, followed: client.route === 'topics', flooded: false, replaying: false })
    client.own = came !== '' && !isEventId(came) && !client.followed
    this.opened++
    client.due.length = 0
    client.due.push({ text: () => 'hello', index: null })
    if (!isEventId(came)) return
    this.resumed++
    const position = this.positionOf(came)
    const first = this.#first
    const known = position !== null && position >= first - 1
    if (!known) client.due.push(this.#gap(came))
    for (let index = known ? position + 1 : first; index < this.log.length; index++) {
      const event = this.log[index]
      if (event !== undefined && concerns(client, event)) client.due.push({ text: () => event.data, index })
    }
  }

  /** Records that a client stops reading, after all events that are due, or before the first. */
  pause (client: Client, hasAll: boolean): void {
    client.link = 'paused'
    client.waiting = 0
    client.replaying = !hasAll && this.#bigIn(client) > 0
  }

  /** True if the part of a replay that fits into the buffers of a paused client is known. */
  mayPause (client: Client): boolean {
    const big = this.#bigIn(client)
    return big === 0 || big >= FLOOD
  }

  send (client: Client, data: string, id?: string): void {
    if (!client.open) return
    client.due.push({ text: () => data, index: null, id })
    if (id !== undefined && !client.flooded) client.own = true
  }

  subscribe (client: Client, topic: string): void {
    if (!client.open) return
    client.topics.add(topic)
    // the events of the topic that it missed were skipped
    if (!client.followed && !client.own && isEventId(client.came) && this.positionOf(client.came) !== this.log.length - 1) {
      client.due.push(this.#gap(client.came))
    }
    client.followed = true
    client.own = false
  }

  close (client: Client, reason: CloseReason): void {
    if (!client.open) return
    client.open = false
    this.closed[reason]++
  }

  /** The data of a gap that is sent now to a client with this last event id. */
  gapAfter (lastEventId: string): string {
    return `gap ${JSON.stringify({ lastEventId: lastEventId === '' ? null : lastEventId, oldestId: this.log[this.#first]?.id ?? null })}`
  }

  /** The place of the oldest retained event. */
  get #first (): number {
    return Math.max(0, this.log.length - this.#size)
  }

  #gap (came: string): Due {
    const oldest = this.log[this.#first]
    return { text: () => `gap ${JSON.stringify({ lastEventId: came, oldestId: oldest?.id ?? null })}`, index: null }
  }

  #bigIn (client: Client): number {
    return client.due.filter(({ index }) => index !== null && this.log[index]?.big).length
  }

  #behind (client: Client): void {
    client.flooded = true
    if (client.overflow === 'disconnect') this.close(client, 'overflow')
  }
}

function concerns ({ topics, clientId }: Client, { to, name }: Logged): boolean {
  if (to === 'all') return true
  return to === 'topic' ? topics.has(name) : name === clientId
}
