import { isEventId } from '../../lib/event/id.js'
import type { Audience } from '../../lib/backplane.js'
import type { CloseReason } from '../../lib/index.js'

/** An event in the log. */
export interface Logged {
  /** Set once `publish` has resolved, which is before anybody asks. */
  id: string
  readonly data: string
  readonly to: Audience
  readonly name: string
  readonly big: boolean
}

/** What a client is to get: the text of it is asked for when ids are known. */
export interface Due {
  readonly text: () => string
  /** Its place in the log; null for what is not in there. */
  readonly index: number | null
  /** The application's own, which it is sent with. */
  readonly id?: string
}

/** One who opens streams, leaves and comes back, and the stream he has or had last. */
export class Client {
  /** Whether the server holds the stream open. */
  open = false
  link: 'away' | 'reading' | 'paused' = 'away'
  readonly due: Due[] = []
  route: Route = 'topics'
  overflow: 'disconnect' | 'drop' = 'disconnect'
  clientId = ''
  topics = new Set<string>()
  /** The stream was subscribed, if only for a time. */
  followed = false
  /** The id it came with. */
  came = ''
  /** Its ids are the application's own. */
  own = false
  /** How many big events wait for it since it is paused. */
  waiting = 0
  /** Paused, it was sent more than it can have taken. */
  flooded = false
  /** Paused while there was more to replay than it can have taken. */
  replaying = false
}

/** `plain` has a client id by its header, `unnamed` none; both follow no topic by themselves. */
export type Route = 'topics' | 'plain' | 'unnamed'

/** So many big events are more than sockets take and `maxBufferedBytes` allows, together. */
export const FLOOD = 16

/** What the plugin promises, as small as it can be said: a log, and for each client what it must have been sent. */
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

  /** @param start the log's position before its first event; @param size how many events it holds */
  constructor (start: string, size: number) {
    this.#start = start
    this.#size = size
  }

  client (number: number): Client {
    const client = this.clients[number]
    if (client === undefined) throw new RangeError(`there is no client ${number}`)
    return client
  }

  /** Whether no event of a sequence is ever forgotten. */
  get holdsAll (): boolean {
    return this.#size >= 1_000
  }

  /** Where an id stands in the log, -1 before its first event; null if it was never there. */
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

  /** A client has opened a stream. */
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

  /** It stops reading: once it has all that is due, or before it got anything. */
  pause (client: Client, hasAll: boolean): void {
    client.link = 'paused'
    client.waiting = 0
    client.replaying = !hasAll && this.#bigIn(client) > 0
  }

  /** Whether it can be said how much of a replay is taken by a client that reads nothing. */
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
    // what it missed of the topic was passed over
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

  /** The data of a gap that is told now to one that holds this id. */
  gapAfter (lastEventId: string): string {
    return `gap ${JSON.stringify({ lastEventId: lastEventId === '' ? null : lastEventId, oldestId: this.log[this.#first]?.id ?? null })}`
  }

  /** The place of the oldest event that is held. */
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
