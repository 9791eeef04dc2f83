import { Readable } from 'node:stream'
import { SSE_ERR_SOURCE, show } from './errors.js'
import type { Producer } from './roles.js'
import type { EventStream } from './stream.js'

/** One way to read whatever can be a source. */
interface Reader {
  next (): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /** Tells the source that nobody reads on. */
  stop (): unknown
}

/** Whether a value is meant as a source, and not as options. */
export function isSource (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' || typeof value === 'function'
  return Symbol.asyncIterator in value || Symbol.iterator in value || 'getReader' in value || 'then' in value
}

/**
 * Reads a source to its end, an item at a time, at the pace of a stream's client. Bytes are read as UTF-8.
 * Stops, and tells the source to, as soon as the stream closes, also while an item is awaited.
 */
export class Source implements Producer<EventStream> {
  readonly #reader: Reader
  readonly #failed: (error: unknown) => void
  readonly #decoder = new TextDecoder()
  #over = false

  /**
   * @param source what to read
   * @param failed told of errors that come too late to be thrown: the source was stopped already
   * @throws SSE_ERR_SOURCE
   */
  constructor (source: unknown, failed: (error: unknown) => void) {
    this.#reader = open(source)
    this.#failed = failed
    // it may fail before it is read, which the next read tells; or afterwards
    if (source instanceof Readable) source.on('error', (error) => { if (this.#over) failed(error) })
  }

  /** The next item, hot path. @throws what the source throws */
  async next (): Promise<IteratorResult<unknown, undefined>> {
    try {
      const result = await this.#reader.next()
      if (!result.done && !this.#over) {
        return result.value instanceof Uint8Array ? { done: false, value: this.#text(result.value) } : result
      }
      // a generator that runs cannot be stopped: one that closed its own stream is stopped now
      if (!result.done) this.#stop().catch(this.#failed)
      // bytes that end within a character
      const rest = this.#decoder.decode()
      if (rest !== '' && !this.#over) return { done: false, value: rest }
    } catch (error) {
      if (!this.#over) throw this.#ended(error)
      this.#failed(error)
    }
    return { done: true, value: this.#ended(undefined) }
  }

  /**
   * Writes all items to `stream`.
   * @param item the first, if it was read already
   * @throws what the source throws, and what cannot be encoded
   */
  async pump (stream: EventStream, item?: IteratorResult<unknown, undefined>): Promise<void> {
    try {
      for (item ??= await this.next(); !item.done; item = await this.next()) {
        stream.push(item.value)
        if (stream.congested && !await stream.ready()) return
      }
    } finally {
      this.stop()
    }
  }

  stop (): void {
    if (this.#over) return
    this.#over = true
    this.#stop().catch(this.#failed)
  }

  async #stop (): Promise<void> {
    await this.#reader.stop()
  }

  #ended<T> (value: T): T {
    this.#over = true
    return value
  }

  /** What a chunk of bytes says, but for a character that is cut at its end: that comes with the next chunk. */
  #text (bytes: Uint8Array): string | null {
    return this.#decoder.decode(bytes, { stream: true }) || null
  }
}

function open (source: unknown): Reader {
  if (typeof source !== 'object' || source === null) throw new SSE_ERR_SOURCE(show(source))
  if ('getReader' in source && typeof source.getReader === 'function') return webReader(source as ReadableStream)
  if (Symbol.asyncIterator in source) return iteratorReader((source as AsyncIterable<unknown>)[Symbol.asyncIterator](), source)
  if (Symbol.iterator in source) return iteratorReader((source as Iterable<unknown>)[Symbol.iterator](), source)
  if ('then' in source && typeof source.then === 'function') return promisedReader(source as PromiseLike<unknown>)
  throw new SSE_ERR_SOURCE(show(source))
}

function promisedReader (promise: PromiseLike<unknown>): Reader {
  const reader = Promise.resolve(promise).then(open)
  // whoever reads or stops it is told
  reader.catch(() => {})
  return {
    next: async () => (await reader).next(),
    stop: async () => (await reader).stop()
  }
}

function iteratorReader (iterator: AsyncIterator<unknown> | Iterator<unknown>, source: object): Reader {
  return {
    next: () => iterator.next(),
    stop () {
      // the iterator of a Readable waits for its pending read before it destroys; this does not
      if ('destroy' in source && typeof source.destroy === 'function') source.destroy()
      else return iterator.return?.()
    }
  }
}

function webReader (source: ReadableStream): Reader {
  const reader = source.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    stop: () => reader.cancel()
  }
}
