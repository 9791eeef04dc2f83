import { once } from 'node:events'
import { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import type { FastifyRequest } from 'fastify'
import { SSE_ERR_SOURCE, describeValue } from '../errors.js'
import { type FetchResponse, isResponse } from '../event/fetch-response.js'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import { sliceIsOver } from '../stream/time-slice.js'
import { refusalOf, UpstreamEvent, UpstreamParser } from '../event/upstream.js'

/** Whether an item is a payload, or the data of one. */
export type ItemKind = 'payload' | 'data'

/** One way to read whatever can be a source. */
interface Reader {
  next (): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /**
   * Stops the source, and releases what it holds. Called again where a source that was stopped gives an item.
   * @param ended whether the source was read to its end, or has failed
   * @returns the calls that were made, each of which may fail
   */
  stop (ended: boolean): ReadonlyArray<Promise<unknown>>
}

/** Whether a value is meant as a source, and not as options. */
export function isSource (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return Symbol.asyncIterator in value || Symbol.iterator in value || 'getReader' in value || 'then' in value || isResponse(value)
}

/**
 * Reads a source to its end, an item at a time, at the pace of a stream's client. Bytes are read as UTF-8, and those of
 * a Response as events. Stops the source as soon as the stream closes, also while an item is awaited.
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
        if (stream.needsDrain && !await stream.ready()) return false
        stream.sendNow(payloadFor(stream, item.value, items))
        if ((stream.needsDrain || sliceIsOver()) && !await stream.ready()) return false
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
    this.#stop(false)
  }

  async #stop (ended: boolean): Promise<void> {
    await Promise.all(this.#reader.stop(ended).map((call) => call.catch(this.#failed)))
    this.#finish?.()
  }

  #taken (result: IteratorResult<unknown>): IteratorResult<unknown, undefined> {
    if (!result.done && !this.#over) {
      return result.value instanceof Uint8Array ? { done: false, value: this.#text(result.value) } : result
    }
    // a generator that runs cannot be stopped: one that closed its own stream is stopped now
    if (!result.done) this.#stop(false)
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
    if (!this.#over) {
      this.#over = true
      this.#stop(true)
    }
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

/** The payload that a stream is given for an item of a source: an event of another server is one, whatever `items` says. */
export function payloadFor (stream: EventStream, item: unknown, items: ItemKind): unknown {
  if (!(item instanceof UpstreamEvent)) return payloadOf(item, items)
  return stream.subscription?.allowsCustomIds === false ? item.withoutId() : item
}

/** @param onError told what a Readable fails with, whenever that is */
function open (source: unknown, onError: (error: unknown) => void): Reader {
  if (typeof source !== 'object' || source === null) throw new SSE_ERR_SOURCE(describeValue(source))
  if (source instanceof Readable) source.on('error', onError)
  if ('getReader' in source && typeof source.getReader === 'function') return webReader(source as ReadableStream)
  if (Symbol.asyncIterator in source) return asyncReader(source as AsyncIterable<unknown>)
  if (Symbol.iterator in source) return iteratorReader((source as Iterable<unknown>)[Symbol.iterator]())
  if ('then' in source && typeof source.then === 'function') return promisedReader(source as PromiseLike<unknown>, onError)
  if (isResponse(source)) return responseReader(source, onError)
  throw new SSE_ERR_SOURCE(describeValue(source))
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
    stop (ended) {
      stopped = true
      return [opened.then((reader) => Promise.all(reader.stop(ended).map((call) => call.catch(onError))))]
    }
  }
}

function iteratorReader (iterator: Iterator<unknown>): Reader {
  return {
    next: () => iterator.next(),
    stop: (ended) => ended ? [] : [settled(() => iterator.return?.())]
  }
}

function asyncReader (source: AsyncIterable<unknown>): Reader {
  const iterator = source[Symbol.asyncIterator]()
  let stopped = false
  return {
    next: () => iterator.next(),
    stop (ended) {
      if (stopped) return []
      stopped = true
      // first, because the iterator of many, such as a Readable's, returns only once the item that it awaits has come
      const released = settled(() => release(source))
      return ended ? [released] : [released, settled(() => iterator.return?.())]
    }
  }
}

function webReader (source: ReadableStream): Reader {
  const reader = source.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    stop: (ended) => ended ? [] : [reader.cancel()]
  }
}

function responseReader (response: FetchResponse, onError: (error: unknown) => void): Reader {
  const refusal = refusalOf(response)
  if (refusal !== null && response.bodyUsed) throw refusal
  const bytes = open(response.body ?? [], onError)
  if (refusal !== null) {
    for (const call of bytes.stop(false)) call.catch(onError)
    throw refusal
  }
  const parser = new UpstreamParser()
  const events: UpstreamEvent[] = []
  return {
    async next () {
      while (events.length === 0) {
        const chunk = await bytes.next()
        if (chunk.done) return chunk
        events.push(...parser.read(chunk.value))
      }
      return { done: false, value: events.shift() }
    },
    stop: (ended) => bytes.stop(ended)
  }
}

async function settled (call: () => unknown): Promise<void> {
  await call()
}

/** That of all async iterators, from Node 24 on, which calls `return()`. */
const inherited: unknown = Reflect.get(Object.getPrototypeOf(Object.getPrototypeOf(async function * () {}.prototype)), Symbol.asyncDispose)

/** Releases what a source holds by the first of its methods that does so, which also ends what it waits for. */
async function release (source: object): Promise<void> {
  const release = ['destroy', 'close', Symbol.asyncDispose, Symbol.dispose].map((name) => Reflect.get(source, name)).find((method) => typeof method === 'function' && method !== inherited)
  await release?.call(source)
  if (source instanceof Readable && !source.closed) await once(source, 'close')
}
