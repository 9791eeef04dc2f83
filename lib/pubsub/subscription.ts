// Tested by test/pubsub/replay.test.ts
import type { Backplane, Gap, Page, PublishedEvent, SSEGap, StartPositions } from '../backplane.js'
import { real } from '../clock.js'
import { channels, tell } from '../diagnostics.js'
import { encode } from '../event/encode.js'
import { SSE_ERR_BACKPLANE } from '../errors.js'
import { compareEventIds, isEventId } from '../event/id.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'
import { textsOf } from './replay-texts.js'

/** The log of published events, with the methods that the subscription of a stream calls. The hub implements it. */
export interface Log extends Pick<Backplane, 'newest' | 'oldestId' | 'read' | 'rewind'> {
  /** Adds the subscription of a stream to a topic, so that events of the topic are delivered to it. */
  join (topic: string, subscription: Subscription): void
  leave (topic: string, subscription: Subscription): void
}

/** Position of a client that has no id yet and is sent retained events first (option `rewind`): before all events of the log. */
const BEFORE_ALL = '0-0'

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
  /** Number of retained events of each topic to send first (option `rewind`). 0: none, or they have been found. */
  #rewind = 0
  /** The positions at which these events start. Null without `rewind`. */
  #from: StartPositions | null = null
  /** A gap to send before the next events are read. Null for none. */
  #gap: Gap | null = null

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

  get topics (): ReadonlySet<string> {
    return this.#topics ?? NO_TOPICS
  }

  subscribe (topics: ReadonlySet<string>, rewind = 0): void {
    for (const topic of topics) this.#log.join(topic, this)
    if (this.#topics === null) {
      this.#topics = topics
      if (this.#ids === 'none' && topics.size > 0) this.#rewind = rewind
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
    if (this.#rewind > 0 || this.#gap !== null || this.#readPosition !== this.#log.newest) return this.#catchUp()
    this.#goLive()
    return null
  }

  deliver (event: PublishedEvent, before: string): void {
    if (!this.#live || event.except === this.#stream.clientId || this.#write(event, event)) return
    if (this.#stream.closed || this.#stream.settings.overflow !== 'replay') return
    if (this.#ids === 'log') this.#catchUpFrom(before)
    else this.#stream.onBehind('overflow')
  }

  onGap (gap: Gap): void {
    // a replay that has not read up to the gap yet will find it in the log
    if (this.#live || this.#readPosition === gap.lastMissedId) this.#sendLiveGap(gap)
  }

  onDropped (): void {
    this.#sendLiveGap({ oldestId: this.#log.oldestId, lastMissedId: this.#currentId })
  }

  takeIdLine (): string {
    if (this.#rewind > 0) return ''
    this.#clientEventId = this.#currentId
    return `id: ${this.#clientEventId}\n`
  }

  takeHeartbeat (): string {
    const rewinds = this.#rewind > 0 || this.#currentId === BEFORE_ALL
    return rewinds || this.#ids !== 'log' || this.#clientEventId === this.#currentId ? '' : `${this.takeIdLine()}\n`
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
        this.#sendLiveGap({ oldestId: this.#log.oldestId, lastMissedId: this.#currentId }, lastEventId)
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

  /** Ends live delivery: reads the events after `position` from the log, as fast as the client takes them. */
  #catchUpFrom (position: string): void {
    this.#readPosition = position
    this.#live = false
    this.#catchUp()
  }

  /** Sends the events after the read position until it is the newest, then starts live delivery. */
  async #catchUp (): Promise<void> {
    const stream = this.#stream
    try {
      if (this.#rewind > 0) await this.#findStart(this.#readPosition)
      while (!stream.closed && (this.#gap !== null || stream.needsDrain || this.#readPosition !== this.#log.newest)) {
        if (stream.needsDrain) await stream.ready()
        else if (this.#gap !== null) await this.#sendGap(this.#gap)
        else await this.#readPage()
        if (this.#readPosition !== this.#log.newest) await real.turn()
      }
      if (!stream.closed) this.#goLive()
    } catch (error) {
      stream.destroy(error)
    }
  }

  /** Finds the positions of a rewind. @param since id after which all events are read, also if more than the rewind's were published while `onConnect` was pending */
  async #findStart (since: string): Promise<void> {
    const { topics } = await this.#log.rewind(this.topics, this.#rewind)
    const starts = Array.from(topics, ([topic, id]): [string, string] => [topic, compareEventIds(id, since) < 0 ? id : since])
    this.#from = { topics: new Map(starts), others: since }
    this.#readPosition = BEFORE_ALL
    this.#rewind = 0
  }

  /**
   * Reads the next events from the log and writes them. A separate function, so that these events are garbage-collected before
   * `#catchUp` waits for a slow client. A suspended async function keeps its local variables in memory.
   */
  async #readPage (): Promise<void> {
    const { newest } = this.#log
    const page = await this.#log.read(this.#readPosition, { topics: this.topics, clientId: this.#stream.clientId, from: this.#from, isClosed: () => this.#stream.closed }, PAGE)
    if (this.#stream.closed) return
    if (page.gap !== null) await this.#sendGap(page.gap)
    if (page.gap !== null || page.events.length > 0 || page.position !== this.#readPosition) {
      this.#replay(page)
      return
    }
    // the client got its id from another process, which has received events that this one has not
    if (compareEventIds(this.#readPosition, newest) > 0) await real.wait(AHEAD)
    else throw new SSE_ERR_BACKPLANE(`it has nothing after ${this.#readPosition}, though ${newest} came later`)
  }

  #replay (page: Page): void {
    const stream = this.#stream
    const texts = this.#ids === 'custom' ? undefined : textsOf(page)
    if (texts === undefined) {
      for (const event of page.events) {
        if (stream.needsDrain || stream.closed) return
        this.#readPosition = event.id
        if (event.except !== stream.clientId && this.#write(event)) stream.stats.replayed++
      }
    } else {
      for (const { batch, count, lastId, except } of texts) {
        if (stream.needsDrain || stream.closed) return
        this.#readPosition = lastId
        if (except === stream.clientId) continue
        stream.writeBatch(batch, count)
        stream.stats.replayed += count
        this.#ids = 'log'
        this.#clientEventId = lastId
      }
    }
    this.#readPosition = page.position
  }

  #goLive (): void {
    this.#live = true
    this.#from = null
    if (this.#ids === 'log' && this.#clientEventId !== this.#readPosition) this.#sendIdLine()
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

  /** Sends a gap that is not the result of a read. If the application replaces the event `gap`, delivery continues from the log after it. */
  #sendLiveGap (gap: Gap, lastEventId = this.#clientEventId): void {
    if (this.#stream.owner.onGap === undefined) {
      this.#writeGap(gap, { lastEventId, oldestId: gap.oldestId })
      return
    }
    this.#gap = gap
    if (this.#live) this.#catchUpFrom(gap.lastMissedId)
  }

  /** Sends the event `gap`, or the event that the application has in place of it (option `onGap`). Continues after the gap. */
  async #sendGap (gap: Gap): Promise<void> {
    const data = { lastEventId: this.#clientEventId, oldestId: gap.oldestId }
    const { owner } = this.#stream
    const text = await owner.onGap?.(data, this.#stream)
    this.#gap = null
    if (this.#stream.closed) return
    this.#readPosition = gap.lastMissedId
    this.#writeGap(gap, data, text)
  }

  /** Writes the text of a gap, with the id of the last missed event. If it is dropped, another gap follows once the client has caught up. */
  #writeGap ({ lastMissedId }: Gap, data: SSEGap, text = encode({ event: 'gap', data })): void {
    const stream = this.#stream
    if (text !== '') {
      const usesLogIds = this.#ids === 'log'
      if (!stream.writeUncounted(usesLogIds ? `id: ${lastMissedId}\n${text}` : text)) return
      if (usesLogIds) this.#clientEventId = lastMissedId
    }
    stream.stats.gaps++
    if (channels.gap.hasSubscribers) stream.runInAsyncScope(tell, null, 'gap', { stream, ...data })
  }
}

const NO_TOPICS: ReadonlySet<string> = new Set()
