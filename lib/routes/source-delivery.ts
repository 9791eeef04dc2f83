// Tested by test/routes/source.test.ts
import type { FastifyReply } from 'fastify'
import type { Callbacks } from './callbacks.js'
import { real } from '../clock.js'
import { toError, SSE_ERR_CLOSING } from '../errors.js'
import type { StreamHost, Producer } from '../stream/contracts.js'
import { type ItemKind, payloadFor, type Source } from './source.js'
import type { EventStream } from '../stream/event-stream.js'
import type { SSEInput } from '../event/encode.js'

/** The options of a source's delivery. */
export interface DeliverySettings {
  items: ItemKind
  /** The event after the last item. */
  end?: SSEInput
}

/** Sends one source to one stream: reads it to its end, sends `end`, then closes the stream. A failure aborts the stream. */
export class SourceDelivery implements Producer<EventStream> {
  readonly #createSource: (stream: EventStream) => Source
  readonly #settings: DeliverySettings
  readonly #callbacks: Callbacks
  #source: Source | null = null
  #first: Promise<IteratorResult<unknown, undefined>> | undefined

  /** @param createSource called once, when the source is opened */
  constructor (createSource: (stream: EventStream) => Source, settings: DeliverySettings, callbacks: Callbacks) {
    this.#createSource = createSource
    this.#settings = settings
    this.#callbacks = callbacks
  }

  /** Returns the source, creating it at the first call. @throws SSE_ERR_SOURCE, the errors of the application */
  open (stream: EventStream): Source {
    this.#source ??= this.#createSource(stream)
    // the application may have closed the stream while it created the source
    if (stream.closed) this.stop()
    return this.#source
  }

  /** Starts to read the first item, once. */
  readFirst (stream: EventStream): Promise<IteratorResult<unknown, undefined>> {
    if (this.#first === undefined) {
      this.#first = this.open(stream).next()
      // `run` handles a failure
      this.#first.catch(() => {})
    }
    return this.#first
  }

  async stop (): Promise<void> {
    this.#source?.stop()
    await this.#source?.finished
  }

  /** Resolves once the source has finished, or after `timeout` ms, because a source that ignores its signal may never finish. */
  async finished (timeout: number): Promise<void> {
    const timer = new AbortController()
    await Promise.race([this.#source?.finished, real.wait(timeout, undefined, { signal: timer.signal, ref: false }).catch(() => {})])
    timer.abort()
  }

  /** Opens the stream once the first item was read. A failure before is an ordinary HTTP error. */
  async startOnFirst (stream: EventStream, reply: FastifyReply, host: StreamHost<EventStream>): Promise<void> {
    const first = this.#checkFirst(stream)
    host.addPending(stream)
    try {
      // a source that ignores its signal must not delay the client or app.close()
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
