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
  /** The encoded event that every stream sends last at shutdown (option `drain.event`); `''` for none. */
  lastEvent: string
  log: FastifyBaseLogger
  logEnd: EndLog
  createSubscription (stream: EventStream, from?: string): Subscription
}

/** The event streams of one plugin in this process. Finds open streams by stream id and client id, and closes all streams at shutdown. */
export class StreamRegistry implements StreamHost<EventStream> {
  readonly timers = new TimerLists()
  readonly flushQueue = new FlushQueue()
  /** Open streams by stream id. */
  readonly streams = new Map<string, EventStream>()
  /** Open streams by client id. A stream whose client id is its stream id (the default) is only in `streams`. */
  readonly clients = new Map<string, Set<EventStream>>()
  readonly #options: RegistryOptions
  /** Streams whose response is not open yet: they wait for the first item of their source, or for onSend hooks. */
  readonly #pending = new Set<EventStream>()
  /** Promises of the application's callbacks and sources that still run after their stream has closed. `app.close()` waits for them. */
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
    // its onSend hooks ran while `drain()` closed the streams that were open
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

  /** Returns the streams with a client id. @param withPending whether to include streams whose response is not open yet */
  ofClient (clientId: string, withPending = false): EventStream[] {
    const found = [...this.clients.get(clientId) ?? []]
    const own = this.streams.get(clientId)
    if (own?.clientId === clientId) found.push(own)
    if (withPending) for (const stream of this.#pending) if (stream.clientId === clientId) found.push(stream)
    return found
  }

  /**
   * Closes all streams at shutdown, each with a random `retry:` up to `drain.spread` ms. Waits until every response has closed. Then waits
   * until the callbacks and sources of the application have finished, or until `drain.timeout` ms after the call.
   */
  async drain (): Promise<void> {
    this.#draining = true
    const closed = Array.from(this.streams.values(), (stream) => this.#end(stream))
    for (const stream of this.#pending) {
      // a stream whose onSend hooks still run is closed by `onOpen`, once its response is open
      if (stream.state === 'pending') stream.closeWith('drain')
      else closed.push(stream.finished())
    }
    const deadline = real.now() + this.#options.drain.timeout
    await Promise.all(closed)
    await this.#finishWork(deadline)
  }

  /** Waits until all callbacks and sources of the application have finished, or until `deadline`. @param deadline on the clock of `real.now()`, ms */
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
    // at least a fifth of `spread`, because EventSource tries again after each such delay while no server listens
    return stream.drain(Math.ceil(drain.spread * (0.2 + 0.8 * Math.random())), lastEvent)
  }
}
