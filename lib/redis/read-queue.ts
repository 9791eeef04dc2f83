// Tested by test/redis/read-queue.test.ts
import { real } from '../clock.js'
import { NoAnswer } from './connection.js'

/** The greatest number of reads at once. With the size of a page this bounds the memory that Redis needs for its answers. */
const MOST = 4
/** The number of results that are kept, and the time for which they are, ms, so that clients that return together share reads. */
const KEPT = { results: 16, time: 2_000 }

/** A read from Redis. */
export interface Read<Result> {
  /** Text that identical reads have in common. */
  readonly key: string
  readonly run: () => Promise<Result>
  /** Returns whether later identical reads may get the same result. */
  readonly isKept: (result: Result) => boolean
}

/** Returns whether the stream that waits for a result has closed. */
type IsClosed = (() => boolean) | undefined

interface Job<Result> {
  readonly read: Read<Result>
  readonly waiting: IsClosed[]
  readonly resolve: (result: Result | null) => void
  readonly reject: (error: unknown) => void
}

/** Runs reads, few at once and in their order. Identical reads share one result. */
export class ReadQueue<Result> {
  readonly #queue: Array<Job<Result>> = []
  /** The results of the reads that wait or run, by the key of the read, and the streams that wait for them. */
  readonly #shared = new Map<string, { readonly result: Promise<Result | null>, readonly waiting: IsClosed[] }>()
  readonly #kept = new Map<string, { readonly result: Result, readonly until: number }>()
  #running = 0

  /** Resolves to the result of a read. Resolves to null, without the read, if all streams that wait for it have closed. */
  run (read: Read<Result>, isClosed: IsClosed): Promise<Result | null> {
    const kept = this.#kept.get(read.key)
    if (kept !== undefined && kept.until > real.now()) return Promise.resolve(kept.result)
    const shared = this.#shared.get(read.key) ?? this.#share(read)
    shared.waiting.push(isClosed)
    this.#next()
    return shared.result
  }

  #share (read: Read<Result>): { readonly result: Promise<Result | null>, readonly waiting: IsClosed[] } {
    const waiting: IsClosed[] = []
    const result = new Promise<Result | null>((resolve, reject) => { this.#queue.push({ read, waiting, resolve, reject }) })
    const shared = { result, waiting }
    this.#shared.set(read.key, shared)
    return shared
  }

  #next (): void {
    while (this.#running < MOST) {
      const job = this.#queue.shift()
      if (job === undefined) return
      if (job.waiting.every((isClosed) => isClosed?.())) this.#settle(job, () => job.resolve(null))
      else this.#start(job)
    }
  }

  async #start (job: Job<Result>): Promise<void> {
    this.#running++
    try {
      const result = await job.read.run()
      if (job.read.isKept(result)) this.#keep(job.read.key, result)
      this.#settle(job, () => job.resolve(result))
    } catch (error) {
      this.#settle(job, () => job.reject(error))
      // Redis does not answer, so that the others would wait for nothing
      if (error instanceof NoAnswer) for (const other of this.#queue.splice(0)) this.#settle(other, () => other.reject(error))
    }
    this.#running--
    this.#next()
  }

  #settle (job: Job<Result>, settle: () => void): void {
    this.#shared.delete(job.read.key)
    settle()
  }

  #keep (key: string, result: Result): void {
    const time = real.now()
    for (const [oldest, { until }] of this.#kept) if (until <= time || this.#kept.size >= KEPT.results) this.#kept.delete(oldest)
    this.#kept.set(key, { result, until: time + KEPT.time })
  }
}
