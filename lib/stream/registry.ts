// Tested by test/integration/shutdown.test.ts
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { real } from '../clock.js'
import { channels, type StreamEnd, tell } from '../diagnostics.js'
import { isEventId } from '../event/id.js'
import type { StatsByRoute, RouteStats } from '../stats.js'
import { TimerLists } from '../timer-list.js'
import type { StreamHost, Subscription } from './contracts.js'
import type { EndLog } from './end-log.js'
import type { EventStream } from './event-stream.js'
import { FlushQueue } from './flush-queue.js'
import type { DrainSettings } from './settings.js'

interface RegistryOptions {
  stats: StatsByRoute
  drain: DrainSettings
  /** The text of the event that ends every stream at shutdown; `''` for none. */
  lastEvent: string
  log: FastifyBaseLogger
  logEnd: EndLog
  createSubscription (stream: EventStream, from?: string): Subscription
}

/** The streams of this process: open ones by id and client id, pending ones, and their shutdown. */
export class StreamRegistry implements StreamHost<EventStream> {
  readonly timers = new TimerLists()
  readonly flushQueue = new FlushQueue()
  /** Open streams by id. */
  readonly streams = new Map<string, EventStream>()
  /** Open streams whose client id is not their own id, by client id. */
  readonly clients = new Map<string, Set<EventStream>>()
  readonly #options: RegistryOptions
  /** Streams that wait for the first item of their source, or for onSend hooks. */
  readonly #pending = new Set<EventStream>()
  /** Callbacks and sources of closed streams, for which `app.close()` waits. */
  readonly #work = new Set<Promise<unknown>>()
  #draining = false

  constructor (options: RegistryOptions) {
    this.#options = options
  }

  statsOf (request: FastifyRequest): RouteStats {
    return this.#options.stats.of(request)
  }

  createSubscription (stream: EventStream, from?: string): Subscription {
    return this.#options.createSubscription(stream, from)
  }

  addPending (stream: EventStream): void {
    this.#pending.add(stream)
    if (this.#draining && stream.state === 'pending') stream.closeWith('drain')
  }

  removePending (stream: EventStream): void {
    this.#pending.delete(stream)
  }

  onOpen (stream: EventStream): void {
    this.#pending.delete(stream)
    this.streams.set(stream.id, stream)
    if (stream.clientId !== stream.id) {
      const streams = this.clients.get(stream.clientId)
      if (streams === undefined) this.clients.set(stream.clientId, new Set([stream]))
      else streams.add(stream)
    }
    stream.stats.opened++
    const { lastEventId } = stream
    if (lastEventId !== null && isEventId(lastEventId)) stream.stats.resumed++
    if (channels.open.hasSubscribers) tell('open', { stream })
    // it passed its onSend hooks while the other streams were ended
    if (this.#draining) real.setImmediate(() => this.#end(stream))
  }

  onClose (stream: EventStream, end: StreamEnd): void {
    const { closeReason, ms } = end
    stream.stats.closed[closeReason]++
    stream.stats.duration?.(closeReason, ms)
    if (channels.close.hasSubscribers) tell('close', { stream, ...end })
    this.#options.logEnd(stream.request, end)
    this.streams.delete(stream.id)
    const streams = this.clients.get(stream.clientId)
    if (streams?.delete(stream) && streams.size === 0) this.clients.delete(stream.clientId)
  }

  waitFor (work: Promise<unknown> | undefined): void {
    if (work === undefined) return
    this.#work.add(work)
    work.then(() => { this.#work.delete(work) })
  }

  /**
   * Ends all streams, each with a random `retry:` up to `drain.spread`. Resolves when every client has received the end or
   * was disconnected, and the callbacks and sources of the application have finished, or `drain.timeout` has passed.
   */
  async drain (): Promise<void> {
    this.#draining = true
    const closed = Array.from(this.streams.values(), (stream) => this.#end(stream))
    for (const stream of this.#pending) {
      // a stream that waits for hooks ends once it is open
      if (stream.state === 'pending') stream.closeWith('drain')
      else closed.push(stream.finished())
    }
    const deadline = real.now() + this.#options.drain.timeout
    await Promise.all(closed)
    await this.#finishWork(deadline)
  }

  /** @param deadline on the clock of `real.now()` */
  async #finishWork (deadline: number): Promise<void> {
    const timer = new AbortController()
    const { signal } = timer
    for (let left = deadline - real.now(); this.#work.size > 0 && left > 0; left = deadline - real.now()) {
      await Promise.race([Promise.all(this.#work), real.wait(left, undefined, { signal })])
    }
    timer.abort()
    if (this.#work.size > 0) this.#options.log.warn(`${this.#work.size} callbacks or sources of event streams have not finished within drain.timeout`)
  }

  #end (stream: EventStream): Promise<void> {
    const { drain, lastEvent } = this.#options
    // at least a fifth of `spread`, because EventSource retries at this pace while nothing listens
    return stream.drain(Math.ceil(drain.spread * (0.2 + 0.8 * Math.random())), lastEvent)
  }
}
