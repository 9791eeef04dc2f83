// Tested by test/pubsub/replay.test.ts
import type { Gap, Page, PublishedEvent } from '../backplane.js'
import { real } from '../clock.js'
import { channels, tell } from '../diagnostics.js'
import { encode } from '../event/encode.js'
import { SSE_ERR_BACKPLANE } from '../errors.js'
import { compareEventIds, isEventId } from '../event/id.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'

/** The log as a subscription uses it. */
export interface Log {
  /** The position of the newest event. */
  readonly newest: string
  /** The oldest event that can be replayed; null where there is none. */
  readonly oldestId: string | null
  read (after: string, limit: number): Page | Promise<Page>
  /** Adds a subscription to the subscribers of a topic. */
  join (topic: string, subscription: Subscription): void
  leave (topic: string, subscription: Subscription): void
}

/** Time for an event to reach this process after another process has it, roughly, ms. */
const AHEAD = 5

/** Events per page. Other streams have a turn after each page. */
const PAGE = 128

/** One stream's subscription to the log: replays missed events at the client's pace, then switches to live delivery. */
export class LogSubscription implements Subscription {
  readonly #stream: EventStream
  readonly #log: Log
  /** Null until the stream has a first topic. Streams of a route share the set. */
  #topics: ReadonlySet<string> | null = null
  /** A copy for this stream, once its topics have changed. */
  #ownTopics: Set<string> | null = null
  /**
   * The origin of the id that the client holds: `log` from the first published event or topic on; `custom` from the first
   * custom id on, until the stream has a topic.
   */
  #ids: 'none' | 'log' | 'custom' = 'none'
  /** The id that the client holds; null if it sent none and was sent none. */
  #clientEventId: string | null
  /** The position up to which the log was read, until delivery is live. */
  #readPosition: string
  #live: boolean

  /** @param from the position at which to start if the client sent no id of the log */
  constructor (stream: EventStream, log: Log, from: string) {
    this.#stream = stream
    this.#log = log
    const { lastEventId } = stream
    this.#clientEventId = lastEventId
    if (lastEventId !== null) this.#ids = isEventId(lastEventId) ? 'log' : 'custom'
    this.#readPosition = lastEventId !== null && this.#ids === 'log' ? lastEventId : from
    // no event is delivered before `onConnect` has settled; custom ids replay nothing
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
    if (this.#live) this.#write(event, event.time)
  }

  onGap (gap: Gap): void {
    // a replay reaches the gap later, unless it has read up to there
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
    // an empty id resets the id that the client holds
    this.#clientEventId = id || null
    this.#live ||= this.#readPosition === this.#log.newest
  }

  close (): void {
    for (const topic of this.#topics ?? []) this.#log.leave(topic, this)
  }

  /** Starts to use the ids of the log, because the stream has its first topics. */
  #firstTopics (): void {
    const { lastEventId } = this.#stream
    const hasStarted = this.#stream.state === 'live'
    const before = this.#ids
    this.#ids = 'log'
    if (before === 'log') {
      // too late for the replay, which has skipped the events of these topics
      if (hasStarted && lastEventId !== null && lastEventId !== this.#currentId) {
        this.#sendGap({ oldestId: this.#log.oldestId, lastMissedId: this.#currentId }, lastEventId)
      }
    } else if (this.#live && hasStarted) {
      this.#sendIdLine()
    } else if (this.#live) {
      // events that are published from now on wait until `onConnect` has settled
      this.#readPosition = this.#log.newest
      this.#live = false
    }
  }

  /** The position up to which the client has been sent all events of the log. */
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
   * Replays one page. A separate function, so that the page is garbage-collected before we wait for a slow client: a
   * suspended async function keeps its locals alive.
   */
  async #readPage (): Promise<void> {
    const { newest } = this.#log
    const page = await this.#log.read(this.#readPosition, PAGE)
    if (page.gap !== null || page.events.length > 0) {
      this.#replay(page)
      return
    }
    // another process, from which the client has its id, is ahead of this one
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

  /** Writes an event, without its id if the client holds custom ids. Hot path. */
  #write ({ id, frame, text }: PublishedEvent, publishedAt: number | null = null): boolean {
    const isCustom = this.#ids === 'custom'
    if (!this.#stream.write(isCustom ? frame : text, true, publishedAt)) return false
    if (!isCustom) {
      this.#ids = 'log'
      this.#clientEventId = id
    }
    return true
  }

  #sendIdLine (): void {
    const id = this.#currentId
    if (this.#stream.writeControl(`id: ${id}\n\n`)) this.#clientEventId = id
  }

  /** Sends a `gap` event. If it is dropped with other events, the `gap` event for all of them replaces it. */
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
