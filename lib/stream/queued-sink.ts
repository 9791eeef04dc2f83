import type { Batch } from './batch.js'
import { isGone, type Outlet, type RawReply } from './sink.js'

/**
 * Holds what is sent to a pipelined response until its turn comes. Node would hold it as well, but reads no further from a
 * connection for whose waiting responses it holds 16 KiB, and then does not notice that the client leaves.
 */
export class QueuedOutlet implements Outlet {
  readonly #raw: RawReply
  #outlet: Outlet | null = null
  #held: Batch[] = []
  #finish: 'end' | 'cut' | null = null
  #onDrain: (() => void) | null = null

  constructor (raw: RawReply) {
    this.#raw = raw
  }

  /** The turn has come. */
  open (outlet: Outlet): void {
    this.#outlet = outlet
    let taken = true
    for (const batch of this.#held) taken = outlet.write(batch)
    this.#held = []
    if (this.#finish !== null) outlet[this.#finish]()
    else if (taken) this.#onDrain?.()
    else if (this.#onDrain !== null) outlet.onDrain(this.#onDrain)
  }

  write (batch: Batch): boolean {
    if (this.#outlet !== null) return this.#outlet.write(batch)
    this.#held.push(batch)
    return false
  }

  get ended (): boolean {
    return this.#outlet?.ended ?? (this.#raw.writableEnded || isGone(this.#raw))
  }

  get buffered (): number {
    return this.#outlet?.buffered ?? this.#held.reduce((bytes, batch) => bytes + batch.bytes, 0)
  }

  onDrain (callback: () => void): void {
    if (this.#outlet === null) this.#onDrain = callback
    else this.#outlet.onDrain(callback)
  }

  end (): boolean {
    if (this.#outlet !== null) return this.#outlet.end()
    this.#finish = 'end'
    return false
  }

  cut (): void {
    if (this.#outlet === null) this.#finish = 'cut'
    else this.#outlet.cut()
  }
}
