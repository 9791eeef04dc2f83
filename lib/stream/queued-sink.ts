// Tested by test/integration/connections.test.ts
import type { Batch } from './batch.js'
import { isClosed, type RawReply } from './connection.js'
import type { Sink } from './sink.js'

/**
 * The destination of a stream's bytes for a pipelined HTTP/1.1 response, which has no socket until the responses before it are done.
 * Keeps the batches of events until then. Node would buffer them as well, but from 16 KiB on it stops reading from the connection,
 * and then does not notice when the client disconnects.
 */
export class QueuedSink implements Sink {
  readonly #raw: RawReply
  #sink: Sink | null = null
  #held: Batch[] = []
  #finish: 'end' | 'abort' | null = null
  #onDrain: (() => void) | null = null
  /** The last call of `watchStall`, for the sink that opens. */
  #stall: Parameters<Sink['watchStall']> | null = null

  constructor (raw: RawReply) {
    this.#raw = raw
  }

  /** Called when the responses before this response are done. Writes all buffered text to `sink`. From then on `write` passes text to `sink` directly. */
  open (sink: Sink): void {
    this.#sink = sink
    let hasRoom = true
    for (const batch of this.#held) hasRoom = sink.write(batch)
    this.#held = []
    if (this.#finish !== null) sink[this.#finish]()
    else if (hasRoom) this.#onDrain?.()
    else if (this.#onDrain !== null) sink.onceDrained(this.#onDrain)
    if (!hasRoom && this.#stall !== null) sink.watchStall(...this.#stall)
  }

  write (batch: Batch): boolean {
    if (this.#sink !== null) return this.#sink.write(batch)
    this.#held.push(batch)
    return false
  }

  get ended (): boolean {
    return this.#sink?.ended ?? (this.#raw.writableEnded || isClosed(this.#raw))
  }

  get buffered (): number {
    return this.#sink?.buffered ?? this.#held.reduce((bytes, batch) => bytes + batch.bytes, 0)
  }

  onceDrained (callback: () => void): void {
    if (this.#sink === null) this.#onDrain = callback
    else this.#sink.onceDrained(callback)
  }

  watchStall (ms: number, onStall: () => void): void {
    if (this.#sink === null) this.#stall = [ms, onStall]
    else this.#sink.watchStall(ms, onStall)
  }

  end (): boolean {
    if (this.#sink !== null) return this.#sink.end()
    this.#finish = 'end'
    return false
  }

  abort (): void {
    if (this.#sink === null) this.#finish = 'abort'
    else this.#sink.abort()
  }
}
