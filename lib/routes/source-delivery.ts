// Tested by test/routes/source.test.ts
import type { FastifyReply } from 'fastify'
import type { Callbacks } from './callbacks.js'
import { real } from '../clock.js'
import { toError, SSE_ERR_CLOSING } from '../errors.js'
import type { StreamHost, Producer } from '../stream/contracts.js'
import { type ItemKind, payloadFor, type Source } from './source.js'
import type { EventStream } from '../stream/event-stream.js'
import type { SSEInput } from '../event/encode.js'

/** The options of a stream that sends a source. */
export interface DeliverySettings {
  items: ItemKind
  /** The event to send after the last item, before the stream closes. Default: none. */
  end?: SSEInput
}

/** Sends one source to one stream: reads the source to its end, sends the event `end`, then closes the stream. A failure aborts the stream. */
export class SourceDelivery implements Producer<EventStream> {
  readonly #createSource: (stream: EventStream) => Source
  readonly #settings: DeliverySettings
  readonly #callbacks: Callbacks
  #source: Source | null = null
  #first: Promise<IteratorResult<unknown, undefined>> | undefined

  /** @param createSource returns the source. Called once, by the first call of `open` */
  constructor (createSource: (stream: EventStream) => Source, settings: DeliverySettings, callbacks: Callbacks) {
    this.#createSource = createSource
    this.#settings = settings
    this.#callbacks = callbacks
  }

  /** Returns the source. The first call creates the source. @throws SSE_ERR_SOURCE, the errors of the application's code that creates it */
  open (stream: EventStream): Source {
    this.#source ??= this.#createSource(stream)
    // stops the source if the application closed the stream while it created the source
    if (stream.closed) this.stop()
    return this.#source
  }

  /** Returns the promise of the first item. The first call opens the source and starts to read the item. */
  readFirst (stream: EventStream): Promise<IteratorResult<unknown, undefined>> {
    if (this.#first === undefined) {
      this.#first = this.open(stream).next()
      // marks a rejection as handled, because `run` awaits the promise only later
      this.#first.catch(() => {})
    }
    return this.#first
  }

  stop (): Promise<void> | undefined {
    this.#source?.stop()
    return this.#source?.isFinished === false ? this.#source.finished : undefined
  }

  /** Waits until the source has finished, but at most `timeout` ms, because a source that ignores the stream's signal may never finish. */
  async finished (timeout: number): Promise<void> {
    const timer = new AbortController()
    await Promise.race([this.#source?.finished, real.wait(timeout, undefined, { signal: timer.signal, ref: false }).catch(() => {})])
    timer.abort()
  }

  /** Implements `openOn: 'first-event'`: opens the stream once the source's first item is read. If reading or encoding fails, replies with an HTTP error. */
  async startOnFirst (stream: EventStream, reply: FastifyReply, host: StreamHost<EventStream>): Promise<void> {
    const first = this.#checkFirst(stream)
    host.addPending(stream)
    try {
      // stops waiting when the stream closes, because a source that ignores the signal must not delay the client or app.close()
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

  /** Sends all items of the source, then the event `end`, then closes the stream. Aborts the stream if the source fails. */
  async run (stream: EventStream): Promise<void> {
    if (stream.closed) return
    try {
      const source = this.open(stream)
      if (stream.closed) return
      const first = this.#first === undefined ? undefined : await this.#first
      if (await source.pump(stream, this.#settings.items, first)) stream.sendNow(this.#settings.end)
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
