import { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { FastifyRequest } from 'fastify'
import { logLateFailure } from './callbacks.js'
import { SSE_ERR_SOURCE, show } from './errors.js'
import type { EventStream } from './stream.js'
import { sliceIsOver } from './time-slice.js'

/** Whether an item is a payload, or the data of one. */
export type ItemKind = 'payload' | 'data'

/** One way to read whatever can be a source. */
interface Reader {
  next (): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /** Tells the source that nobody reads on. */
  stop (): unknown
}

/** Whether a value is meant as a source, and not as options. */
export function isSource (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return Symbol.asyncIterator in value || Symbol.iterator in value || 'getReader' in value || 'then' in value
}

/**
 * Reads a source to its end, an item at a time, at the pace of a stream's client. Bytes are read as UTF-8.
 * Stops, and tells the source to, as soon as the stream closes, also while an item is awaited.
 */
export class Source {
  /** Resolves once the source has finished: its end was read, or it was stopped, and its `finally` blocks have run. */
  readonly finished: Promise<void>
  #finish: (() => void) | null = null
  readonly #reader: Reader
  readonly #failed: (error: unknown) => void
  #decoder: TextDecoder | null = null
  #over = false

  /**
   * @param request its log gets the errors that come too late to be thrown, because the source was stopped already
   * @throws SSE_ERR_SOURCE
   */
  constructor (source: unknown, request: FastifyRequest) {
    this.finished = new Promise((resolve) => { this.#finish = resolve })
    this.#failed = (error) => logLateFailure(error, request)
    // what fails before it is read the next read tells; what fails afterwards nobody else would hear
    this.#reader = open(source, (error) => { if (this.#over) this.#failed(error) })
  }

  /** The next item. @throws what the source throws */
  async next (): Promise<IteratorResult<unknown, undefined>> {
    try {
      return this.#taken(await this.#reader.next())
    } catch (error) {
      return this.#lost(error)
    }
  }

  /**
   * Writes all items to `stream`. Hot path.
   * @param items whether each item is a payload, or the data of one
   * @param first the first, if it was read already
   * @returns true at the end of the source, false where the stream closed before
   * @throws what the source throws, and what cannot be encoded
   */
  async pump (stream: EventStream, items: ItemKind, first?: IteratorResult<unknown, undefined>): Promise<boolean> {
    try {
      let item = first ?? await this.next()
      while (!item.done) {
        // what was written before may have turned out, since, to be all that the client takes
        if (stream.congested && !await stream.ready()) return false
        stream.push(payloadOf(item.value, items))
        if ((stream.congested || sliceIsOver()) && !await stream.ready()) return false
        try {
          // as `next` does it, without a promise more for each item
          item = this.#taken(await this.#reader.next())
        } catch (error) {
          item = this.#lost(error)
        }
      }
      return !stream.closed
    } finally {
      this.stop()
    }
  }

  stop (): void {
    if (this.#over) return
    this.#over = true
    this.#stop().catch(this.#failed).then(() => this.#finish?.())
  }

  async #stop (): Promise<void> {
    await this.#reader.stop()
  }

  #taken (result: IteratorResult<unknown>): IteratorResult<unknown, undefined> {
    if (!result.done && !this.#over) {
      return result.value instanceof Uint8Array ? { done: false, value: this.#text(result.value) } : result
    }
    // a generator that runs cannot be stopped: one that closed its own stream is stopped now
    if (!result.done) this.#stop().catch(this.#failed)
    // bytes that end within a character
    const rest = this.#decoder?.decode() ?? ''
    return rest !== '' && !this.#over ? { done: false, value: rest } : this.#end()
  }

  #lost (error: unknown): IteratorResult<unknown, undefined> {
    const known = this.#over
    const end = this.#end()
    if (!known) throw error
    this.#failed(error)
    return end
  }

  #end (): IteratorResult<unknown, undefined> {
    if (!this.#over) this.#finish?.()
    this.#over = true
    return { done: true, value: undefined }
  }

  /** What a chunk of bytes says, but for a character that is cut at its end: that comes with the next chunk. */
  #text (bytes: Uint8Array): string | null {
    this.#decoder ??= new TextDecoder()
    return this.#decoder.decode(bytes, { stream: true }) || null
  }
}

/** The payload that an item stands for. */
export function payloadOf (item: unknown, items: ItemKind): unknown {
  return items === 'data' ? { data: item } : item
}

/** @param onError told what a Readable fails with, whenever that is */
function open (source: unknown, onError: (error: unknown) => void): Reader {
  if (typeof source !== 'object' || source === null) throw new SSE_ERR_SOURCE(show(source))
  if (source instanceof Readable) source.on('error', onError)
  if ('getReader' in source && typeof source.getReader === 'function') return webReader(source as ReadableStream)
  if (Symbol.asyncIterator in source) return iteratorReader((source as AsyncIterable<unknown>)[Symbol.asyncIterator](), source)
  if (Symbol.iterator in source) return iteratorReader((source as Iterable<unknown>)[Symbol.iterator](), source)
  if ('then' in source && typeof source.then === 'function') return promisedReader(source as PromiseLike<unknown>, onError)
  throw new SSE_ERR_SOURCE(show(source))
}

function promisedReader (promise: PromiseLike<unknown>, onError: (error: unknown) => void): Reader {
  let reader: Reader | null = null
  let stopped = false
  const opened = Promise.resolve(promise).then((source) => (reader = open(source, onError)))
  // whoever reads or stops it is told
  opened.catch(() => {})
  return {
    // one that comes too late is not begun
    next: () => reader === null ? opened.then((reader) => stopped ? { done: true, value: undefined } : reader.next()) : reader.next(),
    async stop () {
      stopped = true
      await (await opened).stop()
    }
  }
}

function iteratorReader (iterator: AsyncIterator<unknown> | Iterator<unknown>, source: object): Reader {
  return {
    next: () => iterator.next(),
    stop () {
      // the iterator of a Readable waits for its pending read before it destroys; this does not
      if ('destroy' in source && typeof source.destroy === 'function') source.destroy()
      else return iterator.return?.()
      if (source instanceof Readable && !source.closed) return new Promise((resolve) => { source.once('close', resolve) })
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
