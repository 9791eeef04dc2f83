import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Audience, Backplane, Gap, Page, PublishedEvent } from '../backplane.js'
import { real } from '../clock.js'
import { STATS, type RouteStats, RouteCounters } from '../stats.js'
import { LogSubscription, type Log } from './subscription.js'
import { channels, type StreamEnd, tell } from '../diagnostics.js'
import type { EndLog } from '../stream/end-log.js'
import { type DataWriter, encodePublished } from '../event/encode.js'
import { isEventId } from '../event/id.js'
import { validClientId, validTopic } from '../topic.js'
import type { PluginSettings } from '../options/read.js'
import { Pending } from '../routes/pending.js'
import { loggedUnlessAwaited, rejected } from '../stream/logged-promise.js'
import type { Subscription, StreamHost } from '../stream/contracts.js'
import { TimerLists } from '../timer-list.js'
import type { EventStream } from '../stream/event-stream.js'
import type { SSE, SSEStats } from '../types.js'

/** The streams that are open in this process, and who of them gets what is published. */
export class Hub implements SSE, StreamHost<EventStream>, Log {
  readonly streams = new Map<string, EventStream>()
  readonly timers = new TimerLists()
  /** The requests that await their topics. */
  readonly pending = new Pending()
  readonly [STATS] = new RouteCounters()
  readonly topics = new Map<string, Set<Subscription>>()
  /** The streams whose client id is not their own id. */
  readonly clients = new Map<string, Set<EventStream>>()

  /** Streams that are not open yet: they wait for the first item of their source, or for onSend hooks. */
  readonly #waiting = new Set<EventStream>()
  readonly #backplane: Backplane
  readonly #writeData: DataWriter
  readonly #drain: PluginSettings['drain']
  /** The text of a last event for every stream, `''` for none. */
  readonly #last: string
  readonly #log: FastifyBaseLogger
  readonly #logEnd: EndLog
  /** Work of the application's that `app.close()` waits for: callbacks and sources of streams that have closed. */
  readonly #work = new Set<Promise<unknown>>()
  #draining = false
  /** The event that was handed on last. */
  #lastDispatchedId = ''

  /** @param writeData makes the text of a published event's data */
  constructor (backplane: Backplane, writeData: DataWriter, drain: PluginSettings['drain'], log: FastifyBaseLogger, logEnd: EndLog) {
    this.#backplane = backplane
    this.#writeData = writeData
    this.#drain = drain
    this.#last = drain.event === undefined ? '' : encodePublished(drain.event, writeData)
    this.#log = log
    this.#logEnd = logEnd
  }

  async open (): Promise<void> {
    await this.#backplane.open({ onEvent: (event) => this.#dispatch(event), onGap: (gap) => this.#onGap(gap) })
    this.#lastDispatchedId = this.#backplane.newest
  }

  async close (): Promise<void> {
    await this.#backplane.close()
  }

  publish (topic: string, payload: unknown): Promise<string> {
    return this.#publish('topic', topic, validTopic, payload)
  }

  broadcast (payload: unknown): Promise<string> {
    return this.#publish('all', '', String, payload)
  }

  sendTo (clientId: string, payload: unknown): Promise<string> {
    return this.#publish('client', clientId, validClientId, payload)
  }

  stats (): SSEStats {
    return this[STATS].total()
  }

  get newest (): string {
    return this.#backplane.newest
  }

  get oldestId (): string | null {
    return this.#backplane.oldestId
  }

  read (after: string, limit: number): Page | Promise<Page> {
    return this.#backplane.read(after, limit)
  }

  join (topic: string, createSubscription: Subscription): void {
    add(this.topics, topic, createSubscription)
  }

  leave (topic: string, cursor: Subscription): void {
    remove(this.topics, topic, cursor)
  }

  statsOf (request: FastifyRequest): RouteStats {
    return this[STATS].of(request)
  }

  createSubscription (stream: EventStream): Subscription {
    return new LogSubscription(stream, this, this.newest)
  }

  /** Keeps a stream that is not open yet, so that `drain` knows of it. */
  addPending (stream: EventStream): void {
    this.#waiting.add(stream)
    if (this.#draining && !stream.responded) stream.closeWith('drain')
  }

  removePending (stream: EventStream): void {
    this.#waiting.delete(stream)
  }

  opened (stream: EventStream): void {
    stream.stats.opened++
    this.#waiting.delete(stream)
    this.streams.set(stream.id, stream)
    if (stream.clientId !== stream.id) add(this.clients, stream.clientId, stream)
    const { lastEventId } = stream
    if (lastEventId !== null) {
      stream.subscription ??= this.createSubscription(stream)
      if (isEventId(lastEventId)) stream.stats.resumed++
    }
    if (channels.open.hasSubscribers) tell('open', { stream })
    // it passed its hooks while the others were ended
    if (this.#draining) real.setImmediate(() => this.#end(stream))
  }

  closed (stream: EventStream, end: StreamEnd): void {
    const { closeReason, ms } = end
    stream.stats.closed[closeReason]++
    stream.stats.duration?.(closeReason, ms)
    if (channels.close.hasSubscribers) tell('close', { stream, ...end })
    this.#logEnd(stream.request, end)
    this.streams.delete(stream.id)
    remove(this.clients, stream.clientId, stream)
  }

  /**
   * Ends all streams, each with the advice to reconnect after a random time. Resolves when every client has its end
   * or is cut off, and the application's callbacks and sources have finished, or `timeout` has passed.
   */
  async drain (): Promise<void> {
    this.#draining = true
    this.pending.close()
    const over = Array.from(this.streams.values(), (stream) => this.#end(stream))
    for (const stream of this.#waiting) {
      // one that waits for hooks is ended as soon as it is open
      if (stream.responded) over.push(stream.finished())
      else stream.closeWith('drain')
    }
    const late = real.now() + this.#drain.timeout
    await Promise.all(over)
    await this.#finishWork(late)
  }

  /** @param late when to wait no longer, on the clock of `real.now()` */
  async #finishWork (late: number): Promise<void> {
    const timer = new AbortController()
    const { signal } = timer
    for (let left = late - real.now(); this.#work.size > 0 && left > 0; left = late - real.now()) {
      await Promise.race([Promise.all(this.#work), real.wait(left, undefined, { signal })])
    }
    timer.abort()
    if (this.#work.size > 0) this.#log.warn(`${this.#work.size} callbacks or sources of event streams have not finished within drain.timeout`)
  }

  waitFor (work: Promise<unknown> | undefined): void {
    if (work === undefined) return
    this.#work.add(work)
    work.then(() => { this.#work.delete(work) })
  }

  #publish (to: Audience, name: unknown, check: (name: unknown) => string, payload: unknown): Promise<string> {
    const message = 'an event was not published'
    try {
      const valid = check(name)
      const published = this.#backplane.publish(to, valid, encodePublished(payload, this.#writeData))
      if (channels.publish.hasSubscribers) tellOnce(published, (id) => tell('publish', { id, to, name: valid, payload }))
      return typeof published === 'string' ? Promise.resolve(published) : loggedUnlessAwaited(published, this.#log, message)
    } catch (error) {
      return rejected(error, this.#log, message)
    }
  }

  /** Hands an event to those it is for. Hot path. */
  #dispatch (event: PublishedEvent): void {
    const before = this.#lastDispatchedId
    this.#lastDispatchedId = event.id
    if (event.to === 'topic') {
      for (const cursor of this.topics.get(event.name) ?? NONE) cursor.deliver(event)
      return
    }
    if (event.to === 'all') {
      for (const stream of this.streams.values()) this.#deliverTo(stream, event, before)
      return
    }
    for (const stream of this.clients.get(event.name) ?? NONE) this.#deliverTo(stream, event, before)
    const stream = this.streams.get(event.name)
    if (stream?.clientId === event.name) this.#deliverTo(stream, event, before)
  }

  /** Nobody knows whom the events were for: all are told who are sent some. */
  #onGap (gap: Gap): void {
    this.#lastDispatchedId = gap.lastMissedId
    for (const stream of this.streams.values()) {
      if (stream.clientId !== stream.id) stream.subscription ??= this.createSubscription(stream)
      stream.subscription?.lost(gap)
    }
  }

  #deliverTo (stream: EventStream, event: PublishedEvent, before: string): void {
    // one that is not greeted yet is to read the event later
    stream.subscription ??= new LogSubscription(stream, this, before)
    stream.subscription.deliver(event)
  }

  #end (stream: EventStream): Promise<void> {
    // not at once: EventSource tries again and again at that pace while nothing listens
    return stream.drain(Math.ceil(this.#drain.spread * (0.2 + 0.8 * Math.random())), this.#last)
  }
}

/** Tells of an event once the log has it; a failure goes to the caller of `publish`. */
function tellOnce (published: string | Promise<string>, tell: (id: string) => void): void {
  if (typeof published === 'string') tell(published)
  else published.then(tell, () => {})
}

const NONE: readonly never[] = []

function add<Member> (lists: Map<string, Set<Member>>, name: string, member: Member): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, new Set([member]))
  else list.add(member)
}

function remove<Member> (lists: Map<string, Set<Member>>, name: string, member: Member): void {
  const list = lists.get(name)
  if (list?.delete(member) && list.size === 0) lists.delete(name)
}
