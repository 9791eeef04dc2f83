// Tested by test/pubsub/replay.test.ts
import type { Gap, Page, PublishedEvent } from '../backplane.js'
import { real } from '../clock.js'
import { channels, tell } from '../diagnostics.js'
import { encode } from '../event/encode.js'
import { SSE_ERR_BACKPLANE } from '../errors.js'
import { compareEventIds, isEventId } from '../event/id.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'

/** The log of published events, with the methods that the subscription of a stream calls. The hub implements it. */
export interface Log {
  /** Id of the newest event that this process has received. Before the first event: an id that is older than that event. */
  readonly newest: string
  /** Id of the oldest event that can be replayed (read again for a client that missed it). Null if there is none. */
  readonly oldestId: string | null
  read (after: string, limit: number): Page | Promise<Page>
  /** Adds the subscription of a stream to a topic, so that events of the topic are delivered to it. */
  join (topic: string, subscription: Subscription): void
  leave (topic: string, subscription: Subscription): void
}

/** Time to wait for an event that another process has received and this process has not, ms. Roughly the usual time between the two. */
const AHEAD = 5

/** Number of events that a replay reads from the log at once (a page). After each page other streams have a turn. */
const PAGE = 128

/** One stream's subscription to the log. Replays the events that the client missed, as fast as the client takes them, then delivers new events when they are published. */
export class LogSubscription implements Subscription {
  readonly #stream: EventStream
  readonly #log: Log
  /** The topics of the stream. Null until it has a topic. The `Set` is never changed, because all streams of a route share it. Changes are made in `#ownTopics`. */
  #topics: ReadonlySet<string> | null = null
  /** A copy of `#topics` that belongs to this stream and may be changed. Null until the stream's topics change. */
  #ownTopics: Set<string> | null = null
  /**
   * The kind of id that the client has received last. `none`: no id. `log`: an id of the log of published events; also set when the
   * stream gets its first topic. `custom`: an id that the application set.
   */
  #ids: 'none' | 'log' | 'custom' = 'none'
  /** The id that the client would send in Last-Event-ID if it reconnected now. Null if the client has neither sent nor received an id, or the last id was empty. */
  #clientEventId: string | null
  /** Id of the newest event that the replay has written or skipped. Not used once delivery is live. */
  #readPosition: string
  #live: boolean

  /** Creates the subscription of a stream. @param from id of the event after which delivery starts if the client sent no id of the log */
  constructor (stream: EventStream, log: Log, from: string) {
    this.#stream = stream
    this.#log = log
    const { lastEventId } = stream
    this.#clientEventId = lastEventId
    if (lastEventId !== null) this.#ids = isEventId(lastEventId) ? 'log' : 'custom'
    this.#readPosition = lastEventId !== null && this.#ids === 'log' ? lastEventId : from
    // Not live at first, because no event is delivered before `onConnect` has settled. With ids of the application nothing is replayed.
    this.#live = stream.state === 'live' || this.#ids === 'custom'
  }

  get allowsCustomIds (): boolean {
    return this.#topics === null
  }

  get usesLogIds (): boolean {
    return this.#ids === 'log'
  }

  subscribe (topics: ReadonlySet<string>): void {
    for (const topic of topics) this.#log.join(topic, this)
    if (this.#topics === null) {
      this.#topics = topics
      this.#firstTopics()
    } else {
      const own = this.#changeable(this.#topics)
      for (const topic of topics) own.add(topic)
    }
  }

  unsubscribe (topics: readonly string[]): void {
    if (this.#topics === null) return
    const own = this.#changeable(this.#topics)
    for (const topic of topics) if (own.delete(topic)) this.#log.leave(topic, this)
  }

  startDelivery (): Promise<void> | null {
    if (this.#live) return null
    if (this.#readPosition !== this.#log.newest) return this.#catchUp()
    this.#goLive()
    return null
  }

  deliver (event: PublishedEvent): void {
    if (this.#live) this.#write(event, event)
  }

  onGap (gap: Gap): void {
    // a replay that has not read up to the gap yet will find it in the log
    if (this.#live || this.#readPosition === gap.lastMissedId) this.#sendGap(gap)
  }

  takeIdLine (): string {
    this.#clientEventId = this.#currentId
    return `id: ${this.#clientEventId}\n`
  }

  takeHeartbeat (): string {
    return this.#ids !== 'log' || this.#clientEventId === this.#currentId ? '' : `${this.takeIdLine()}\n`
  }

  takeGapEvent (): string {
    const gap = { oldestId: this.#log.oldestId, lastMissedId: this.#currentId }
    const event = this.#gapEvent(gap, this.#clientEventId)
    this.#gapSent(gap, this.#clientEventId)
    return event
  }

  customIdSent (id: string): void {
    this.#ids = 'custom'
    // an event with an empty id makes the client forget its id
    this.#clientEventId = id || null
    this.#live ||= this.#readPosition === this.#log.newest
  }

  close (): void {
    for (const topic of this.#topics ?? []) this.#log.leave(topic, this)
  }

  /** Called when the stream gets its first topics. From then on its events have the ids of the log. */
  #firstTopics (): void {
    const { lastEventId } = this.#stream
    const hasStarted = this.#stream.state === 'live'
    const before = this.#ids
    this.#ids = 'log'
    if (before === 'log') {
      // The replay has started without these topics, so that it skipped their events. A `gap` event tells the client.
      if (hasStarted && lastEventId !== null && lastEventId !== this.#currentId) {
        this.#sendGap({ oldestId: this.#log.oldestId, lastMissedId: this.#currentId }, lastEventId)
      }
    } else if (this.#live && hasStarted) {
      this.#sendIdLine()
    } else if (this.#live) {
      // events that are published from now on are not delivered before `onConnect` has settled
      this.#readPosition = this.#log.newest
      this.#live = false
    }
  }

  /** Id of the newest event of the log up to which the stream has written, or skipped, all events. */
  get #currentId (): string {
    return this.#live ? this.#log.newest : this.#readPosition
  }

  #changeable (topics: ReadonlySet<string>): Set<string> {
    this.#topics = this.#ownTopics ??= new Set(topics)
    return this.#ownTopics
  }

  async #catchUp (): Promise<void> {
    const stream = this.#stream
    try {
      while (!stream.closed && this.#readPosition !== this.#log.newest) {
        await this.#readPage()
        if (stream.needsDrain) await stream.ready()
        else if (this.#readPosition !== this.#log.newest) await real.turn()
      }
      if (!stream.closed) this.#goLive()
    } catch (error) {
      stream.destroy(error)
    }
  }

  /**
   * Reads the next events from the log and writes them. A separate function, so that these events are garbage-collected before
   * `#catchUp` waits for a slow client. A suspended async function keeps its local variables in memory.
   */
  async #readPage (): Promise<void> {
    const { newest } = this.#log
    const page = await this.#log.read(this.#readPosition, PAGE)
    if (page.gap !== null || page.events.length > 0) {
      this.#replay(page)
      return
    }
    // the client got its id from another process, which has received events that this one has not
    if (compareEventIds(this.#readPosition, newest) > 0) await real.wait(AHEAD)
    else throw new SSE_ERR_BACKPLANE(`it has nothing after ${this.#readPosition}, though ${newest} came later`)
  }

  #replay ({ gap, events }: Page): void {
    if (this.#stream.needsDrain || this.#stream.closed) return
    if (gap !== null) {
      this.#sendGap(gap)
      this.#readPosition = gap.lastMissedId
    }
    for (const event of events) {
      if (this.#stream.needsDrain) return
      this.#readPosition = event.id
      if (this.#concerns(event) && this.#write(event)) this.#stream.stats.replayed++
    }
  }

  #goLive (): void {
    this.#live = true
    if (this.#ids === 'log' && this.#clientEventId !== this.#readPosition) this.#sendIdLine()
  }

  #concerns ({ to, name }: PublishedEvent): boolean {
    if (to === 'all') return true
    return to === 'client' ? name === this.#stream.clientId : this.#topics !== null && this.#topics.has(name)
  }

  /** Writes a published event. Omits the event's id if the client has an id that the application set. Hot path. @returns false if the event was dropped */
  #write (event: PublishedEvent, published: PublishedEvent | null = null): boolean {
    const isCustom = this.#ids === 'custom'
    if (!this.#stream.write(isCustom ? event.frame : event.text, true, published)) return false
    if (!isCustom) {
      this.#ids = 'log'
      this.#clientEventId = event.id
    }
    return true
  }

  #sendIdLine (): void {
    const id = this.#currentId
    if (this.#stream.writeControl(`id: ${id}\n\n`)) this.#clientEventId = id
  }

  /** Writes a `gap` event, which tells the client that it missed events. If this event is dropped, another `gap` event follows once the client has caught up. */
  #sendGap (gap: Gap, lastEventId = this.#clientEventId): void {
    if (this.#stream.writeUncounted(this.#gapEvent(gap, lastEventId))) this.#gapSent(gap, lastEventId)
  }

  #gapEvent ({ oldestId, lastMissedId }: Gap, lastEventId: string | null): string {
    const event = { event: 'gap', data: { lastEventId, oldestId } }
    return encode(this.#ids === 'log' ? { id: lastMissedId, ...event } : event)
  }

  #gapSent ({ oldestId, lastMissedId }: Gap, lastEventId: string | null): void {
    const stream = this.#stream
    if (this.#ids === 'log') this.#clientEventId = lastMissedId
    stream.stats.gaps++
    if (channels.gap.hasSubscribers) stream.runInAsyncScope(tell, null, 'gap', { stream, lastEventId, oldestId })
  }
}
