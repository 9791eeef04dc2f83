// Tested by test/integration/connections.test.ts
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Batch } from './batch.js'
import { isClosed, isHttp2, type RawReply, watchStall } from './connection.js'
import type { Sink } from './sink.js'

/** Time between the last write and the abort of a compressed response, ms, so that the compressor can pass on the bytes that it holds. */
const COMPRESSOR_TIMEOUT = 100

/** A destination or response that may compress. If it has a method `flush`, it keeps bytes until `flush` is called. */
type Flushing = { flush?: () => void }

/** Writes batches of events to a Node stream: the response, or a transform that is piped into it. */
export class WritableSink implements Sink {
  readonly #raw: RawReply
  readonly #destination: Writable & Flushing
  #onDrain: (() => void) | null = null
  #listens = false

  constructor (raw: RawReply, destination: Writable) {
    this.#raw = raw
    this.#destination = destination
  }

  write (batch: Batch): boolean {
    const hasRoom = this.#destination.write(this.#destination === this.#raw ? batch.data : batch.text)
    if (typeof this.#destination.flush === 'function') this.#destination.flush()
    return hasRoom
  }

  get ended (): boolean {
    return isClosed(this.#raw) || this.#raw.writableEnded || this.#destination.writableEnded || this.#destination.destroyed
  }

  get buffered (): number {
    const { writableLength } = this.#destination
    return this.#destination === this.#raw ? writableLength : writableLength + this.#raw.writableLength
  }

  onceDrained (callback: () => void): void {
    this.#onDrain = callback
    if (this.#listens) return
    this.#listens = true
    // one listener for all calls: with middleware that replaces `res.on`, the listener of `once` would never be removed
    this.#destination.on('drain', () => {
      const callback = this.#onDrain
      this.#onDrain = null
      callback?.()
    })
  }

  watchStall (ms: number, onStall: () => void): void {
    watchStall(this.#raw, ms, onStall)
  }

  end (): boolean {
    this.#destination.end()
    return false
  }

  abort (): void {
    if (this.#destination === this.#raw) {
      this.#resetConnection()
      return
    }
    // The transform calls `end` of the response once it has passed on all bytes. That call now resets the connection instead.
    // Destroying the transform would lose the bytes that it holds, and would reset HTTP/2 streams with NO_ERROR.
    Object.assign(this.#raw, { end: () => this.#resetConnection() })
    this.#destination.end()
  }

  #resetConnection (): void {
    const raw: Writable & Flushing = this.#raw
    const destroy = () => {
      if (isHttp2(this.#raw)) this.#raw.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      else if (this.#raw.socket instanceof Socket) this.#raw.socket.destroySoon()
      else this.#raw.destroy()
    }
    // middleware that compresses in the response does not call back after an empty write
    if (typeof raw.flush === 'function') setTimeout(destroy, COMPRESSOR_TIMEOUT).unref()
    else raw.write('', destroy)
  }
}
