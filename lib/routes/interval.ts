import type { AsyncResource } from 'node:async_hooks'
import { isFake, now } from '../clock.js'
import { SSE_ERR_PAYLOAD_TIMEOUT } from '../errors.js'
import { customIdOf } from '../event/encode.js'
import { PayloadCall } from './payload-call.js'
import { Delay, nextDueTime, type TimerList, type TimerLists, type Task } from '../timer-list.js'
import type { Producer } from '../stream/contracts.js'
import { type ItemKind, payloadOf } from './source.js'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import { isThenable } from './thenable.js'

/** The part of a route that its intervals use. An interval calls `payload` at each tick, and `failed` with an error of that call. */
export interface PayloadCaller {
  /** The async context in which `payload` is called if several streams share its result. */
  readonly scope: AsyncResource
  /** Time after which a call of `payload` that has not settled fails, ms; 0: never. */
  readonly payloadTimeout: number
  /** `'payload'`: `payload` returns an event; `'data'`: it returns the data of an event. */
  readonly items: ItemKind
  payload (stream: EventStream, call: PayloadCall): unknown
  failed (error: unknown, stream: EventStream): void
}

/** Maximum number of missed ticks that an interval runs late when fake timers (node:test) skip time. Limited, as a test may set the clock to another year. */
const CATCH_UP = 1_000

/**
 * Calls a route's `payload` every `interval` ms, from the start of one call to the start of the next. Ticks are at multiples of
 * `interval` after the first tick. Calls never overlap, because ticks during a slow call are skipped. A call that takes longer than `payloadTimeout` is aborted.
 */
abstract class Ticker implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #caller: PayloadCaller
  readonly #interval: number
  readonly #timers: TimerLists
  #timerList: TimerList | null = null
  /** The call of `payload` that has not settled; null if there is none. */
  #pending: PayloadCall | null = null

  constructor (caller: PayloadCaller, timers: TimerLists, interval: number) {
    this.#caller = caller
    this.#interval = interval
    this.#timers = timers
  }

  start (immediate: boolean): void {
    this.due = now()
    this.#timerList = this.#timers.get(this.#interval)
    this.#timerList.schedule(this.due + this.#interval, this)
    if (immediate) this.#callInScope()
  }

  protected end (): void {
    this.#timerList?.remove(this)
    this.#timerList = null
    this.#pending?.abort()
    this.#pending = null
  }

  run (): void {
    const next = nextDueTime(this.due, this.#interval, isFake() ? Math.max(this.due, now() - CATCH_UP * this.#interval) : now())
    const missed = Math.round((next - this.due) / this.#interval) - 1
    if (missed > 0) this.skip(missed)
    this.#timerList?.schedule(next, this)
    this.#callInScope()
  }

  /** The async context in which `payload` is called. */
  protected abstract get scope (): AsyncResource

  /** Returns the stream to call `payload` with. Returns null, which skips the tick, if no client of the interval's streams can take more now. */
  protected abstract target (): EventStream | null

  /** Encodes a result of `payload` and writes it to the interval's streams. @param stream the stream that `payload` was called with */
  protected abstract deliver (payload: unknown, stream: EventStream): void

  /** Adds skipped ticks to the stats of the interval's streams. */
  protected abstract skip (ticks: number): void

  // changes the async context, because a timer that serves many streams runs in that of the stream that started it
  #callInScope (): void {
    const stream = this.#pending === null ? this.target() : null
    if (stream === null) this.skip(1)
    else this.scope.runInAsyncScope(this.#call, this, stream)
  }

  #call (stream: EventStream): void {
    const call = new PayloadCall()
    try {
      const payload = this.#caller.payload(stream, call)
      if (isThenable(payload)) this.#await(payload, stream, call)
      else this.#emit(payload, stream)
    } catch (error) {
      this.#caller.failed(error, stream)
    }
  }

  async #await (payload: PromiseLike<unknown>, stream: EventStream, call: PayloadCall): Promise<void> {
    const { payloadTimeout } = this.#caller
    const giveUp = () => this.scope.runInAsyncScope(this.#giveUp, this, stream, call)
    const timer = payloadTimeout > 0 ? new Delay(this.#timers, payloadTimeout, giveUp) : null
    this.#pending = call
    try {
      const given = await payload
      if (this.#pending === call) this.#emit(given, stream)
    } catch (error) {
      if (this.#pending === call) this.#caller.failed(error, stream)
      else logLateFailure(error, stream.request)
    } finally {
      timer?.cancel()
      if (this.#pending === call) this.#pending = null
    }
  }

  #giveUp (stream: EventStream, call: PayloadCall): void {
    const error = new SSE_ERR_PAYLOAD_TIMEOUT(this.#caller.payloadTimeout)
    this.#pending = null
    this.#caller.failed(error, stream)
    call.abort(error)
  }

  #emit (payload: unknown, stream: EventStream): void {
    this.deliver(payloadOf(payload, this.#caller.items), stream)
  }
}

/** Interval of a single stream, which does not share its payload with other streams. */
export class OwnInterval extends Ticker implements Producer<EventStream> {
  readonly #stream: EventStream

  constructor (caller: PayloadCaller, timers: TimerLists, interval: number, stream: EventStream) {
    super(caller, timers, interval)
    this.#stream = stream
  }

  stop (): undefined {
    this.end()
  }

  protected get scope (): AsyncResource {
    return this.#stream
  }

  protected target (): EventStream | null {
    return this.#stream.needsDrain ? null : this.#stream
  }

  protected deliver (payload: unknown): void {
    this.#stream.sendNow(payload)
  }

  protected skip (ticks: number): void {
    this.#stream.stats.skipped += ticks
  }
}

/** Interval of several streams that share a payload: calls `payload` and encodes its result once per tick, while at least one stream is open. */
export class SharedInterval extends Ticker implements Producer<EventStream> {
  protected readonly scope: AsyncResource
  readonly #streams = new Set<EventStream>()
  readonly #immediate: boolean
  readonly #onEmpty: () => void
  #members = 0
  #running = false
  #latest = ''
  #latestId: string | undefined

  /** @param onEmpty called when all streams have closed, also streams that `reserve` registered and that never opened */
  constructor (caller: PayloadCaller, timers: TimerLists, interval: number, immediate: boolean, onEmpty: () => void) {
    super(caller, timers, interval)
    this.scope = caller.scope
    this.#immediate = immediate
    this.#onEmpty = onEmpty
  }

  /** Registers a stream that will open, so that the route keeps this interval until that stream closes. */
  reserve (stream: EventStream): void {
    this.#members++
    stream.producer = this
  }

  /** Adds a stream that has opened. Starts the interval if it is not running. If it is running, sends the stream the latest payload, if `immediate`. */
  join (stream: EventStream): void {
    this.#streams.add(stream)
    if (!this.#running) {
      this.#running = true
      this.start(this.#immediate)
    } else if (this.#immediate && this.#latest !== '') {
      stream.writeWithId(this.#latest, this.#latestId)
    }
  }

  stop (stream: EventStream): undefined {
    this.#streams.delete(stream)
    if (this.#streams.size === 0) {
      this.#running = false
      this.scope.runInAsyncScope(this.end, this)
    }
    if (--this.#members === 0) this.#onEmpty()
  }

  protected target (): EventStream | null {
    for (const stream of this.#streams) if (!stream.needsDrain) return stream
    return null
  }

  /** Encodes a payload once and writes the text to each stream whose client can take more. Hot path. */
  protected deliver (payload: unknown, encodedFor: EventStream): void {
    const text = encodedFor.encode(payload)
    if (text === '') return
    const id = customIdOf(payload)
    this.#latest = text
    this.#latestId = id
    for (const stream of this.#streams) {
      if (stream.needsDrain) stream.stats.skipped++
      else stream.writeWithId(text, id)
    }
  }

  protected skip (ticks: number): void {
    for (const stream of this.#streams) stream.stats.skipped += ticks
  }
}
