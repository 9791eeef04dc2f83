import { isEventId } from '../../lib/event/id.js'
import type { CloseReason } from '../../lib/index.js'
import { Log, type Logged, type Starts, UNKNOWN, concerns } from './log.js'

/** An event that a client is to get. Its texts are functions, because ids are known later. */
export interface Due {
  /** @param before the client's last event id before it */
  readonly text: (before: string) => string
  /** Its place in the log; of a gap that of the newest missing event; null for an event outside the log. */
  readonly index: number | null
  /** The client's last event id after it. Without: that before it. */
  readonly after?: () => string
}

/** Applies if more waits for a client than fits into its buffers. */
export type Overflow = 'replay' | 'disconnect' | 'drop'

/** A client that connects, disconnects and reconnects, and its current or last stream. */
export class Client {
  /** True while the stream is open at the server. */
  open = false
  link: 'away' | 'reading' | 'paused' = 'away'
  readonly due: Due[] = []
  route: Route = 'topics'
  overflow: Overflow = 'replay'
  rewind: Rewind = 0
  clientId = ''
  topics = new Set<string>()
  /** True once the stream was subscribed to a topic. */
  followed = false
  /** The last event id of the request. */
  came = ''
  /** The place in the log after which its events begin. */
  start = UNKNOWN
  /** True while its ids are custom ones. */
  own = false
  /** Number of big events that wait for the paused client. */
  waiting = 0
  /** True if the paused client was sent more than fits into its buffers. */
  flooded = false
  /** True if the replay of the paused client may be longer than fits into its buffers. */
  replaying = false

  /** True if the paused client is sent the rest from the log once it reads. */
  get catchesUp (): boolean {
    return this.replaying || (this.flooded && this.overflow === 'replay')
  }
}

/** `plain` has a client id from its header, `unnamed` none. Neither has topics at first. */
export type Route = 'topics' | 'plain' | 'unnamed'

export const REWINDS = [0, 1, 2, 'all'] as const
export type Rewind = typeof REWINDS[number]

/** Number of big events that exceed the socket buffers and `maxBufferedBytes` together. */
export const FLOOD = 16

/** A minimal model of the plugin: a log, and for each client the events that it must get. */
export class Model {
  readonly log: Log
  readonly clients = [new Client(), new Client(), new Client()]
  readonly closed: Record<CloseReason, number> = { client: 0, server: 0, drain: 0, overflow: 0, stalled: 0, expired: 0, idle: 0, lifetime: 0, error: 0 }
  opened = 0
  resumed = 0
  over = false
  /** The number of the next event. */
  next = 0

  constructor (log: Log) {
    this.log = log
  }

  client (number: number): Client {
    const client = this.clients[number]
    if (client === undefined) throw new RangeError(`there is no client ${number}`)
    return client
  }

  publish (event: Logged): void {
    const index = this.log.append(event)
    for (const client of this.clients) {
      if (!client.open || !concerns(client, event)) continue
      client.due.push(this.#event(index, client))
      if (event.big && client.link === 'paused' && !client.replaying && ++client.waiting === FLOOD) this.#behind(client)
    }
  }

  /** Records a control message. Returns its entry, whose id is not set. */
  control (): Logged {
    const entry: Logged = { id: '', data: '', to: 'control', names: [], except: null, big: false }
    this.log.append(entry)
    return entry
  }

  /** Records that a client has opened a stream. */
  arrive (client: Client, came: string): void {
    const { log } = this
    Object.assign(client, { open: true, link: 'reading', came, followed: client.route === 'topics', flooded: false, replaying: false })
    client.own = came !== '' && !isEventId(came) && !client.followed
    this.opened++
    client.due.length = 0
    client.due.push({ text: () => 'hello', index: null })
    if (isEventId(came)) {
      this.resumed++
      client.start = log.placeOf(came)
      this.#replay(client, null)
    } else if (came === '' && client.rewind !== 0 && client.followed) {
      client.start = UNKNOWN
      this.#replay(client, log.rewind(client.topics, client.rewind === 'all' ? Infinity : client.rewind))
    } else {
      client.start = log.newest
    }
  }

  /** Records that a client stops reading, after all events that are due, or before the first. */
  pause (client: Client, hasAll: boolean): void {
    client.link = 'paused'
    client.waiting = 0
    client.replaying = !hasAll && this.#bigIn(client) > 0
  }

  /** True if the events are known that a client which reads nothing is sent. */
  mayPause (client: Client): boolean {
    const big = this.#bigIn(client)
    return client.overflow === 'replay' || big === 0 || big >= FLOOD
  }

  send (client: Client, data: string, id?: string): void {
    if (!client.open) return
    client.due.push({ text: () => data, index: null, after: id === undefined ? undefined : () => id })
    if (id !== undefined && !client.flooded) client.own = true
  }

  subscribe (client: Client, topic: string): void {
    if (!client.open) return
    client.topics.add(topic)
    // the events of the topic that it missed were skipped
    if (!client.followed && !client.own && isEventId(client.came) && this.log.placeOf(client.came) !== this.log.newest) {
      // not in the place of a loss
      client.due.push({ ...this.#gap(this.log.newest, this.log.oldestId(), client.came), index: null })
    }
    client.followed = true
    client.own = false
  }

  close (client: Client, reason: CloseReason): void {
    if (!client.open) return
    client.open = false
    this.closed[reason]++
  }

  #replay (client: Client, starts: Starts | null): void {
    for (const { index, gap } of this.log.read(client.start, client, starts)) {
      const entry = this.log.entries[index]
      if (gap !== null) client.due.push(this.#gap(index, gap))
      else if (entry !== undefined && concerns(client, entry)) client.due.push(this.#event(index, client))
    }
  }

  #event (index: number, { own }: Client): Due {
    const text = this.log.entries[index]?.data ?? ''
    return { text: () => text, index, after: own ? undefined : () => this.log.idAt(index) }
  }

  /** A gap that is sent now. @param lost place of the newest missing event; @param came the last event id in its data, if not the client's */
  #gap (lost: number, oldestId: () => string | null, came?: string): Due {
    const { log } = this
    const text = (before: string) => gapText(came ?? before, oldestId())
    return { text, index: lost, after: () => log.idAt(lost) }
  }

  #bigIn (client: Client): number {
    return client.due.filter(({ index }) => index !== null && this.log.entries[index]?.big).length
  }

  #behind (client: Client): void {
    client.flooded = true
    if (client.overflow === 'disconnect' || (client.overflow === 'replay' && client.own)) this.close(client, 'overflow')
  }
}

/** A gap as a follower reads it. */
export function gapText (lastEventId: string, oldestId: string | null): string {
  return `gap ${JSON.stringify({ lastEventId: lastEventId === '' ? null : lastEventId, oldestId })}`
}
