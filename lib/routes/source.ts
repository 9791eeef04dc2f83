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

/** Whether an item of a source is a payload, or the data of a payload. */
export type ItemKind = 'payload' | 'data'

/** Reads one kind of source: an iterator, a web stream, a promise, or a Response. */
interface Reader {
  next (): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /**
   * Stops the source, and releases its resources. Called again if the source gives an item after it was stopped.
   * @param ended whether the source was read to its end, or has failed
   * @returns the promises of the calls, each of which may reject
   */
  stop (ended: boolean): ReadonlyArray<Promise<unknown>>
}

/** Whether a value is a source and not an object of options. */
export function isSource (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return Symbol.asyncIterator in value || Symbol.iterator in value || 'getReader' in value || 'then' in value || isResponse(value)
}

/**
 * Reads a source to its end, item by item, at the pace of a stream's client. Decodes bytes as UTF-8, and the body of a
 * Response as events. Stops the source when the stream closes, even while an item is awaited.
 */
export class Source {
  /** Resolves once the source was read to its end or stopped, and its `finally` blocks have run. */
  readonly finished: Promise<void>
  #finish: (() => void) | null = null
  readonly #reader: Reader
  readonly #failed: (error: unknown) => void
  #decoder: TextDecoder | null = null
  #over = false

  /**
   * @param request its log receives errors that follow the stop of the source
   * @throws SSE_ERR_SOURCE
   */
  constructor (source: unknown, request: FastifyRequest) {
    this.finished = new Promise((resolve) => { this.#finish = resolve })
    this.#failed = (error) => logLateFailure(error, request)
    // a failure before the end rejects the next read; a failure after it goes only to the log
    this.#reader = open(source, (error) => { if (this.#over) this.#failed(error) })
  }

  /** Reads the next item. @throws the errors of the source */
  async next (): Promise<IteratorResult<unknown, undefined>> {
    try {
      return this.#itemOf(await this.#reader.next())
    } catch (error) {
      return this.#endOf(error)
    }
  }

  /**
   * Writes all items to a stream. Hot path.
   * @param first the first item, if it was read already
   * @returns true at the end of the source, false if the stream closed before
   * @throws the errors of the source and of `encode`
   */
  async pump (stream: EventStream, items: ItemKind, first?: IteratorResult<unknown, undefined>): Promise<boolean> {
    try {
      let item = first ?? await this.next()
      while (!item.done) {
        // the end of a tick may have found the client behind
        if (stream.needsDrain && !await stream.ready()) return false
        stream.sendNow(payloadFor(stream, item.value, items))
        if ((stream.needsDrain || sliceIsOver()) && !await stream.ready()) return false
        try {
          // inlined from `next()`, which costs one more promise per item
          item = this.#itemOf(await this.#reader.next())
        } catch (error) {
          item = this.#endOf(error)
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

  #itemOf (result: IteratorResult<unknown>): IteratorResult<unknown, undefined> {
    if (!result.done && !this.#over) {
      return result.value instanceof Uint8Array ? { done: false, value: this.#text(result.value) } : result
    }
    // a running generator cannot be stopped: one that closed its own stream is stopped now
    if (!result.done) this.#stop(false)
    // the last bytes may be an incomplete character
    const rest = this.#decoder?.decode() ?? ''
    return rest !== '' && !this.#over ? { done: false, value: rest } : this.#end()
  }

  #endOf (error: unknown): IteratorResult<unknown, undefined> {
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

  /** Decodes a chunk. Keeps an incomplete character at its end for the next chunk. */
  #text (bytes: Uint8Array): string | null {
    this.#decoder ??= new TextDecoder()
    return this.#decoder.decode(bytes, { stream: true }) || null
  }
}

/** Returns the payload of an item. */
export function payloadOf (item: unknown, items: ItemKind): unknown {
  return items === 'data' ? { data: item } : item
}

/** Returns the payload of a source's item for a stream. An event of another server is a payload, even with `items: 'data'`. */
export function payloadFor (stream: EventStream, item: unknown, items: ItemKind): unknown {
  if (!(item instanceof UpstreamEvent)) return payloadOf(item, items)
  return stream.subscription?.allowsCustomIds === false ? item.withoutId() : item
}

/** @param onError called with an error of a Readable, also while no item is read */
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
  // `next` and `stop` handle the rejection
  opened.catch(() => {})
  return {
    // a source that arrives after the stop is not read
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
      // first, because the iterator of a Readable returns only once the item that it awaits has arrived
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

/** The `Symbol.asyncDispose` of all async iterators from Node 24 on. It calls `return()`, so it is not a resource of the source. */
const inherited: unknown = Reflect.get(Object.getPrototypeOf(Object.getPrototypeOf(async function * () {}.prototype)), Symbol.asyncDispose)

/** Calls the first of the source's methods that releases its resources, which also ends a pending read. */
async function release (source: object): Promise<void> {
  const release = ['destroy', 'close', Symbol.asyncDispose, Symbol.dispose].map((name) => Reflect.get(source, name)).find((method) => typeof method === 'function' && method !== inherited)
  await release?.call(source)
  if (source instanceof Readable && !source.closed) await once(source, 'close')
}
