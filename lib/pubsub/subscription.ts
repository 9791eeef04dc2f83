import type { Gap, Page, PublishedEvent } from '../backplane.js'
import { real } from '../clock.js'
import { channels, tell } from '../diagnostics.js'
import { encode } from '../event/encode.js'
import { SSE_ERR_BACKPLANE } from '../errors.js'
import { compareEventIds, isEventId } from '../event/id.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'

/** The log, and the lists of those that are handed what is new in it. */
export interface Log {
  /** The position of the newest event. */
  readonly newest: string
  /** The oldest event that can be replayed; null where there is none. */
  readonly oldestId: string | null
  read (after: string, limit: number): Page | Promise<Page>
  join (topic: string, cursor: Subscription): void
  leave (topic: string, cursor: Subscription): void
}

/** How long events take, roughly, that one process has and another has not yet, ms. */
const AHEAD = 5

/** How many events are taken from the log at once; then other streams have their turn. */
const PAGE = 128

/**
 * Where in the log one stream is. It reads what its client missed from the log, at the client's pace, while
 * new events wait there. Once nothing is left to read it is live: it is handed each event as it is published.
 */
export class LogSubscription implements Subscription {
  readonly #stream: EventStream
  readonly #log: Log
  /** Null as long as the stream was not subscribed to any. May be other streams' as well. */
  #topics: ReadonlySet<string> | null = null
  /** The same, once they changed and are this stream's alone. */
  #ownTopics: Set<string> | null = null
  /**
   * Whose ids the client holds. None until it is sent one; the log's from its first published event or topic on;
   * the application's own from the first of these on, until the stream is subscribed to a topic.
   */
  #ids: 'none' | 'log' | 'own' = 'none'
  /** The id the client holds, if it came with one or was sent one. */
  #clientEventId: string | null
  /** Up to where the log was read, until the stream is live. */
  #readPosition: string
  #live: boolean
  /** The oldest event that waits to be written, if lag is measured. */
  #waiting: PublishedEvent | null = null

  /** @param from where in the log a stream begins whose client came with no id of the log */
  constructor (stream: EventStream, log: Log, from: string) {
    this.#stream = stream
    this.#log = log
    const { lastEventId } = stream
    this.#clientEventId = lastEventId
    if (lastEventId !== null) this.#ids = isEventId(lastEventId) ? 'log' : 'own'
    this.#readPosition = lastEventId !== null && this.#ids === 'log' ? lastEventId : from
    // one that is not greeted yet is to get nothing before; nothing is replayed by ids of the application's own
    this.#live = stream.deliveryStarted || this.#ids === 'own'
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

  /** Hands on an event that was published, unless it will be read from the log. Hot path. */
  deliver (event: PublishedEvent): void {
    if (!this.#live) return
    // before it is written, since it may go out at once
    if (this.#stream.stats.lag !== null) this.#waiting ??= event
    if (!this.#write(event) && this.#waiting === event) this.#waiting = null
  }

  lost (gap: Gap): void {
    // one that reads on comes to the gap by itself, unless it has read up to there
    if (this.#live || this.#readPosition === gap.lastMissedId) this.#sendGap(gap)
  }

  wrote (time: number): void {
    if (this.#waiting === null) return
    this.#stream.stats.lag?.(time - this.#waiting.time)
    this.#waiting = null
  }

  takeIdLine (): string {
    this.#clientEventId = this.#currentId
    return `id: ${this.#clientEventId}\n`
  }

  takeHeartbeat (): string {
    return this.#ids !== 'log' || this.#clientEventId === this.#currentId ? '' : `${this.takeIdLine()}\n`
  }

  gap (): string {
    const { oldestId } = this.#log
    this.#tellOf(oldestId, this.#clientEventId)
    return this.#createGapEvent({ oldestId, lastMissedId: this.#currentId })
  }

  customIdSent (id: string): void {
    this.#ids = 'own'
    // an empty one takes away what the client holds
    this.#clientEventId = id || null
    this.#live ||= this.#readPosition === this.#log.newest
  }

  close (): void {
    for (const topic of this.#topics ?? []) this.#log.leave(topic, this)
  }

  /** The stream has its first topics. */
  #firstTopics (): void {
    const { deliveryStarted, lastEventId } = this.#stream
    const came = this.#ids
    this.#ids = 'log'
    if (came === 'log') {
      // too late for the replay: what its client missed of these topics was passed over
      if (deliveryStarted && lastEventId !== null && lastEventId !== this.#currentId) {
        this.#sendGap({ oldestId: this.#log.oldestId, lastMissedId: this.#currentId }, lastEventId)
      }
    } else if (this.#live && deliveryStarted) {
      this.#sendIdLine()
    } else if (this.#live) {
      // what is published from now on is for after the greeting
      this.#readPosition = this.#log.newest
      this.#live = false
    }
  }

  /** Up to where the log was gone through for its client. */
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
        if (stream.congested) await stream.ready()
        else if (this.#readPosition !== this.#log.newest) await real.turn()
      }
      if (!stream.closed) this.#goLive()
    } catch (error) {
      stream.destroy(error)
    }
  }

  /**
   * A call of its own, since a function that waits keeps all its variables: no page is kept while
   * the client is waited for, so that the log alone is the memory of what that missed.
   */
  async #readPage (): Promise<void> {
    const { newest } = this.#log
    const page = await this.#log.read(this.#readPosition, PAGE)
    if (page.gap !== null || page.events.length > 0) {
      this.#replay(page)
      return
    }
    // the client comes from a process that is ahead of this one
    if (compareEventIds(this.#readPosition, newest) > 0) await real.wait(AHEAD)
    else throw new SSE_ERR_BACKPLANE(`it has nothing after ${this.#readPosition}, though ${newest} came later`)
  }

  #replay ({ gap, events }: Page): void {
    if (this.#stream.congested || this.#stream.closed) return
    if (gap !== null) this.#leap(gap)
    for (const event of events) {
      if (this.#stream.congested) return
      this.#readPosition = event.id
      if (this.#concerns(event) && this.#write(event)) this.#stream.stats.replayed++
    }
  }

  #goLive (): void {
    this.#live = true
    if (this.#ids === 'log' && this.#clientEventId !== this.#readPosition) this.#sendIdLine()
  }

  #leap (gap: Gap): void {
    this.#sendGap(gap)
    this.#readPosition = gap.lastMissedId
  }

  #concerns ({ to, name }: PublishedEvent): boolean {
    if (to === 'all') return true
    return to === 'client' ? name === this.#stream.clientId : this.#topics !== null && this.#topics.has(name)
  }

  /** Hot path. Where the ids are the application's, the event is written without its own. */
  #write ({ id, frame, text }: PublishedEvent): boolean {
    const own = this.#ids === 'own'
    if (!this.#stream.write(own ? frame : text)) return false
    if (!own) {
      this.#ids = 'log'
      this.#clientEventId = id
    }
    return true
  }

  #sendIdLine (): void {
    const held = this.#clientEventId
    if (!this.#stream.note(`${this.takeIdLine()}\n`)) this.#clientEventId = held
  }

  /** Tells of a gap; where that is left out with the events, it is for the gap that tells of them. */
  #sendGap (gap: Gap, lastEventId = this.#clientEventId): void {
    const held = this.#clientEventId
    if (this.#stream.writeUncounted(this.#createGapEvent(gap, lastEventId))) this.#tellOf(gap.oldestId, lastEventId)
    else this.#clientEventId = held
  }

  #tellOf (oldestId: string | null, lastEventId: string | null): void {
    const stream = this.#stream
    stream.stats.gaps++
    if (channels.gap.hasSubscribers) stream.runInAsyncScope(tell, null, 'gap', { stream, lastEventId, oldestId })
  }

  #createGapEvent ({ oldestId, lastMissedId }: Gap, lastEventId = this.#clientEventId): string {
    const data = { lastEventId, oldestId }
    if (this.#ids !== 'log') return encode({ event: 'gap', data })
    this.#clientEventId = lastMissedId
    return encode({ id: lastMissedId, event: 'gap', data })
  }
}
