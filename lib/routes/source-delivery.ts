import type { FastifyReply } from 'fastify'
import type { Callbacks } from './callbacks.js'
import { real } from '../clock.js'
import { toError, SSE_ERR_CLOSING } from '../errors.js'
import type { StreamHost, Producer } from '../stream/contracts.js'
import { type ItemKind, payloadFor, type Source } from './source.js'
import type { EventStream } from '../stream/event-stream.js'
import type { SSEInput } from '../event/encode.js'

/** How a source is sent. */
export interface DeliverySettings {
  items: ItemKind
  /** Sent after the last item. */
  end?: SSEInput
}

/** One source on its way to one stream: opened, read to its end, followed by `end`; then the stream closes. A failure aborts it. */
export class SourceDelivery implements Producer<EventStream> {
  readonly #give: (stream: EventStream) => Source
  readonly #settings: DeliverySettings
  readonly #callbacks: Callbacks
  #source: Source | null = null
  #first: Promise<IteratorResult<unknown, undefined>> | undefined

  /** @param give called once, when the source is opened */
  constructor (give: (stream: EventStream) => Source, settings: DeliverySettings, callbacks: Callbacks) {
    this.#give = give
    this.#settings = settings
    this.#callbacks = callbacks
  }

  /** Has the source, which is stopped when the stream closes. @throws what the application throws, SSE_ERR_SOURCE */
  open (stream: EventStream): Source {
    this.#source ??= this.#give(stream)
    // the application closed it meanwhile
    if (stream.closed) this.stop()
    return this.#source
  }

  /** Reads the first item ahead of the others. */
  readFirst (stream: EventStream): Promise<IteratorResult<unknown, undefined>> {
    if (this.#first === undefined) {
      this.#first = this.open(stream).next()
      // a failure is for `run`
      this.#first.catch(() => {})
    }
    return this.#first
  }

  async stop (): Promise<void> {
    this.#source?.stop()
    await this.#source?.finished
  }

  /** Resolves once the source has finished, or after `limit` ms, because a source that ignores its signal may never finish. */
  async finished (limit: number): Promise<void> {
    const timer = new AbortController()
    await Promise.race([this.#source?.finished, real.wait(limit, undefined, { signal: timer.signal, ref: false }).catch(() => {})])
    timer.abort()
  }

  /** Starts the stream with the source's first item; a failure before is an ordinary HTTP error. */
  async startOnFirst (stream: EventStream, reply: FastifyReply, host: StreamHost<EventStream>): Promise<void> {
    const first = this.#checkFirst(stream)
    host.addPending(stream)
    try {
      // a source that ignores the signal keeps neither a client nor app.close() waiting
      await Promise.race([first, stream.ready()])
      if (!stream.closed) await first
      else first.catch((error) => this.#callbacks.reportIfOpen(error, stream))
    } catch (error) {
      if (!reply.sent) reply.send(toError(error))
      return
    } finally {
      host.removePending(stream)
    }
    if (stream.closeReason === 'drain') reply.send(new SSE_ERR_CLOSING())
    else if (stream.closeReason === null || stream.closeReason === 'server') stream.respond()
  }

  /** Sends all items, then `end`, and closes the stream. */
  async run (stream: EventStream): Promise<void> {
    if (stream.closed) return
    try {
      const source = this.open(stream)
      if (stream.closed) return
      if (await source.pump(stream, this.#settings.items, await this.#first)) stream.sendNow(this.#settings.end)
      stream.close()
    } catch (error) {
      await this.#callbacks.abort(error, stream)
    }
  }

  async #checkFirst (stream: EventStream): Promise<void> {
    try {
      const item = await this.readFirst(stream)
      if (!item.done) stream.encode(payloadFor(stream, item.value, this.#settings.items))
    } catch (error) {
      this.stop()
      throw error
    }
  }
}
