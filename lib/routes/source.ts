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

/** The option `items`: `'payload'` if each item of a source is an event, `'data'` if it is only the data of an event. */
export type ItemKind = 'payload' | 'data'

/** Reads a source item by item. Each kind of source has an implementation: an iterator, a web stream, a promise, a Response. */
interface Reader {
  next (): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /**
   * Stops the source, and releases its resources. Called by `Source`; called again if the source gives an item after the first call.
   * @param ended true if the source has ended or failed. Then only its resources are released
   * @returns promises that settle once the called methods of the source, such as `return`, have settled. Each promise may reject
   */
  stop (ended: boolean): ReadonlyArray<Promise<unknown>>
}

/** Returns whether the first argument of `reply.sse()` is a source (iterable, web stream, promise, Response), not an object of options. */
export function isSource (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return Symbol.asyncIterator in value || Symbol.iterator in value || 'getReader' in value || 'then' in value || isResponse(value)
}

/**
 * Reads a source to its end. Reads the next item only when the stream's client can take more. Decodes bytes as UTF-8, and the
 * body of a Response as events. Stops the source when the stream closes, even while an item is awaited.
 */
export class Source {
  /** True once the source has ended or was stopped, and the `finally` blocks of its generator have run. */
  isFinished = false
  #finished: Promise<void> | null = null
  #onFinished: (() => void) | null = null
  readonly #reader: Reader
  readonly #owner: Pick<FastifyRequest, 'log'>
  #decoder: TextDecoder | null = null
  #over = false
  /** Number of calls of `#stop` whose calls of the source have not settled. */
  #stopping = 0

  /**
   * @param owner errors that the source has after its end or stop go to the log of this request or app
   * @throws SSE_ERR_SOURCE for a value that is not a source
   */
  constructor (source: unknown, owner: Pick<FastifyRequest, 'log'>) {
    this.#owner = owner
    // logs an error after the end of the source; an earlier error rejects the next read
    this.#reader = open(source, (error) => { if (this.#over) logLateFailure(error, owner) })
  }

  /** Resolves once `isFinished` is true. Never rejects. */
  get finished (): Promise<void> {
    if (this.isFinished) return Promise.resolve()
    this.#finished ??= new Promise((resolve) => { this.#onFinished = resolve })
    return this.#finished
  }

  /** Reads the next item of the source. The result is `done` at the source's end and after `stop`. @throws the errors of the source */
  async next (): Promise<IteratorResult<unknown, undefined>> {
    try {
      return this.#itemOf(await this.#reader.next())
    } catch (error) {
      return this.#endOf(error)
    }
  }

  /**
   * Reads all items and writes each to a stream as an event, at the pace of its client. Hot path.
   * @param first the first item, if it was read already: the call starts with it
   * @returns true at the end of the source, false if the stream closed before
   * @throws the errors of the source and of `encode`
   */
  async pump (stream: EventStream, items: ItemKind, first?: IteratorResult<unknown, undefined>): Promise<boolean> {
    let item = first
    try {
      while (true) {
        try {
          // the same as `await this.next()`, which would cost one more promise per item
          item ??= this.#itemOf(await this.#reader.next())
        } catch (error) {
          item = this.#endOf(error)
        }
        if (item.done) return !stream.closed
        // checks before the item as well, because a write at the end of a tick may have shown that the client is behind
        if (stream.needsDrain && !await stream.ready()) return false
        stream.sendNow(payloadFor(stream, item.value, items))
        if ((stream.needsDrain || sliceIsOver()) && !await stream.ready()) return false
        item = undefined
      }
    } finally {
      this.stop()
    }
  }

  stop (): void {
    if (this.#over) return
    this.#over = true
    this.#stop(false)
  }

  #stop (ended: boolean): void {
    const calls = this.#reader.stop(ended)
    this.#stopping++
    if (calls.length === 0) this.#onStopped()
    else Promise.all(calls.map((call) => call.catch((error) => logLateFailure(error, this.#owner)))).then(() => this.#onStopped())
  }

  #onStopped (): void {
    if (--this.#stopping > 0) return
    this.isFinished = true
    this.#onFinished?.()
  }

  #itemOf (result: IteratorResult<unknown>): IteratorResult<unknown, undefined> {
    if (!result.done && !this.#over) {
      return result.value instanceof Uint8Array ? { done: false, value: this.#text(result.value) } : result
    }
    // stops again: the first stop had no effect on a generator that was running, because it closed its stream itself
    if (!result.done) this.#stop(false)
    // at the end, decodes bytes of an incomplete character that the decoder still holds
    const rest = this.#decoder?.decode() ?? ''
    return rest !== '' && !this.#over ? { done: false, value: rest } : this.#end()
  }

  #endOf (error: unknown): IteratorResult<unknown, undefined> {
    const known = this.#over
    const end = this.#end()
    if (!known) throw error
    logLateFailure(error, this.#owner)
    return end
  }

  #end (): IteratorResult<unknown, undefined> {
    if (!this.#over) {
      this.#over = true
      this.#stop(true)
    }
    return { done: true, value: undefined }
  }

  /** Decodes a chunk of UTF-8. Keeps an incomplete character at the chunk's end for the next chunk. Returns null if no character is complete. */
  #text (bytes: Uint8Array): string | null {
    this.#decoder ??= new TextDecoder()
    return this.#decoder.decode(bytes, { stream: true }) || null
  }
}

/** Returns an item of a source, or a result of `payload`, as an event. With `items: 'data'`, it becomes the data of a new event. */
export function payloadOf (item: unknown, items: ItemKind): unknown {
  return items === 'data' ? { data: item } : item
}

/**
 * Returns an item of a source as an event for a stream. An event that another server sent stays an event even with `items: 'data'`.
 * On a stream with topics this event loses its id, because ids on such a stream come from the log of published events.
 */
export function payloadFor (stream: EventStream, item: unknown, items: ItemKind): unknown {
  if (!(item instanceof UpstreamEvent)) return payloadOf(item, items)
  return stream.subscription?.allowsCustomIds === false ? item.withoutId() : item
}

/** Returns a reader of a source. @param onError called with each error of a Readable, also while no item is read */
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
  // marks a rejection as handled, because `next` and `stop` await the promise only later
  opened.catch(() => {})
  return {
    // after `stop`, reports the end, and does not read the source to which the promise resolves
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
      // releases before `return()`, because for a Readable that settles only once the item that is awaited has arrived
      const released = release(source)
      return ended ? released : [...released, settled(() => iterator.return?.())]
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

/** The method `Symbol.asyncDispose` that all async iterators inherit from Node 24 on. It only calls `return()`; `release` ignores it. */
const inherited: unknown = Reflect.get(Object.getPrototypeOf(Object.getPrototypeOf(async function * () {}.prototype)), Symbol.asyncDispose)

/** Names of the methods that release a source, in the order in which they are looked for. */
const RELEASING = ['destroy', 'close', Symbol.asyncDispose, Symbol.dispose]

/** Releases a source, which also ends a pending read: calls the first method of `RELEASING` that the source has. Returns no promise if it has none, as a generator. */
function release (source: object): Array<Promise<void>> {
  try {
    for (const name of RELEASING) {
      const method: unknown = Reflect.get(source, name)
      if (typeof method === 'function' && method !== inherited) return [releaseBy(method, source)]
    }
  } catch (error) {
    // a getter of the source
    return [Promise.reject(error)]
  }
  return []
}

async function releaseBy (method: Function, source: object): Promise<void> {
  await method.call(source)
  if (source instanceof Readable && !source.closed) await once(source, 'close')
}
