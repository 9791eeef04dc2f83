import { ownIdOf } from './event.js'
import { nextTick, type Schedule, type Schedules, type Task } from './schedule.js'
import type { Producer } from './roles.js'
import type { EventStream } from './stream.js'

/** A route's `payload`, and where its failures go. */
export interface PayloadCaller {
  payload (stream: EventStream): unknown
  failed (error: unknown, stream: EventStream): void
}

/**
 * Asks for a payload again and again: start to start, anchored to the first tick, never two calls at once.
 * Ticks that a slow payload misses are left out.
 */
abstract class Ticker implements Task {
  due = 0
  before: Task | null = null
  after: Task | null = null
  readonly #caller: PayloadCaller
  readonly #interval: number
  readonly #schedules: Schedules
  #schedule: Schedule | null = null
  #asking = false

  constructor (caller: PayloadCaller, schedules: Schedules, interval: number) {
    this.#caller = caller
    this.#interval = interval
    this.#schedules = schedules
  }

  start (immediate: boolean): void {
    this.due = performance.now()
    this.#schedule = this.#schedules.every(this.#interval)
    this.#schedule.at(this.due + this.#interval, this)
    if (immediate) this.#ask()
  }

  protected end (): void {
    this.#schedule?.remove(this)
    this.#schedule = null
  }

  run (): void {
    const next = nextTick(this.due, this.#interval, performance.now())
    const missed = Math.round((next - this.due) / this.#interval) - 1
    if (missed > 0) this.skip(missed)
    this.#schedule?.at(next, this)
    this.#ask()
  }

  /** The stream to ask for, null if nobody would take an event now. */
  protected abstract taker (): EventStream | null

  /** @param text an encoded event, made for `stream`; `id` if it has one of its own */
  protected abstract deliver (text: string, id: string | undefined): void

  /** So many ticks are left out. */
  protected abstract skip (ticks: number): void

  #ask (): void {
    const stream = this.#asking ? null : this.taker()
    if (stream === null) {
      this.skip(1)
      return
    }
    try {
      const payload = this.#caller.payload(stream)
      if (isThenable(payload)) this.#await(payload, stream)
      else this.#give(payload, stream)
    } catch (error) {
      this.#caller.failed(error, stream)
    }
  }

  async #await (payload: PromiseLike<unknown>, stream: EventStream): Promise<void> {
    this.#asking = true
    try {
      this.#give(await payload, stream)
    } catch (error) {
      this.#caller.failed(error, stream)
    } finally {
      this.#asking = false
    }
  }

  #give (payload: unknown, stream: EventStream): void {
    const text = stream.encode(payload)
    if (text !== '') this.deliver(text, ownIdOf(payload))
  }
}

export function isThenable<T> (value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** One stream's own payload. */
export class OwnInterval extends Ticker implements Producer<EventStream> {
  readonly #stream: EventStream

  constructor (caller: PayloadCaller, schedules: Schedules, interval: number, stream: EventStream) {
    super(caller, schedules, interval)
    this.#stream = stream
  }

  stop (): void {
    this.end()
  }

  protected taker (): EventStream | null {
    return this.#stream.congested ? null : this.#stream
  }

  protected deliver (text: string, id: string | undefined): void {
    this.#stream.writeOwn(text, id)
  }

  protected skip (ticks: number): void {
    this.#stream.counters.skipped += ticks
  }
}

/** One payload for many streams: one call and one encoding per tick, while at least one is open. */
export class SharedInterval extends Ticker implements Producer<EventStream> {
  readonly #streams = new Set<EventStream>()
  readonly #immediate: boolean
  readonly #emptied: () => void
  #members = 0
  #running = false
  #latest = ''
  #latestId: string | undefined

  /** @param emptied called when the last stream has left */
  constructor (caller: PayloadCaller, schedules: Schedules, interval: number, immediate: boolean, emptied: () => void) {
    super(caller, schedules, interval)
    this.#immediate = immediate
    this.#emptied = emptied
  }

  /** Keeps a place for a stream that is not open yet. */
  reserve (stream: EventStream): void {
    this.#members++
    stream.producer = this
  }

  /** The stream takes its place. */
  join (stream: EventStream): void {
    this.#streams.add(stream)
    if (!this.#running) {
      this.#running = true
      this.start(this.#immediate)
    } else if (this.#immediate && this.#latest !== '') {
      stream.writeOwn(this.#latest, this.#latestId)
    }
  }

  stop (stream: EventStream): void {
    this.#streams.delete(stream)
    if (this.#streams.size === 0) {
      this.#running = false
      this.end()
    }
    if (--this.#members === 0) this.#emptied()
  }

  protected taker (): EventStream | null {
    for (const stream of this.#streams) if (!stream.congested) return stream
    return null
  }

  /** Hot path: N writes of one text. */
  protected deliver (text: string, id: string | undefined): void {
    this.#latest = text
    this.#latestId = id
    for (const stream of this.#streams) {
      if (stream.congested) stream.counters.skipped++
      else stream.writeOwn(text, id)
    }
  }

  protected skip (ticks: number): void {
    for (const stream of this.#streams) stream.counters.skipped += ticks
  }
}
