import { AsyncResource } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { now } from '../clock.js'
import { ABORTS, type CloseReason, type RouteStats } from '../stats.js'
import { isEventId } from '../event/id.js'
import { encode, encodeRetry, customIdOf, assertNoCustomId, stripId } from '../event/encode.js'
import { toError, SSE_ERR_NOT_OPEN } from '../errors.js'
import { firstLines, readLastEventId } from './headers.js'
import { logLateFailure } from './late-failure.js'
import type { Batch } from './batch.js'
import type { CompiledSettings } from './settings.js'
import { type Received, WriteBuffer, type WriteBufferOwner } from './write-buffer.js'
import type { Sink } from './sink.js'
import { Heartbeat, HEARTBEAT, StreamTimeouts, type TimedStream } from './timeouts.js'
import type { Subscription, StreamHost, StreamOwner, Producer } from './contracts.js'
import { namesOf, validTopics } from '../topics/targets.js'
import type { Target } from '../topics/types.js'
import { rejected } from './logged-promise.js'
import { type ResponseOwner, StreamResponse } from './response.js'
import { newStreamId } from './id.js'
import type { SSEStream } from '../types.js'
import { UpstreamEvent } from '../event/upstream.js'

/**
 * The event stream of one client. Opens its HTTP response, writes events as fast as the client takes them, and closes the response.
 * `runInAsyncScope` runs callbacks in the async context (AsyncLocalStorage) of the request, because one timer or published event serves many streams.
 */
export class EventStream extends AsyncResource implements SSEStream, ResponseOwner, WriteBufferOwner, TimedStream {
  readonly id = newStreamId()
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /** `pending` until the reply is sent; `opening` while onSend hooks and `onConnect` run; `live` once published events may be delivered. A close does not change it. */
  state: 'pending' | 'opening' | 'live' = 'pending'
  /** The interval or source of the route that writes events to this stream. Null if it has none, and after the stream has closed. */
  producer: Producer<EventStream> | null = null
  /** The stream's subscription to the log of published events. Null until the stream has a topic or an event with an id, or opens for a client that sent an id. */
  subscription: Subscription | null = null
  readonly #host: StreamHost<EventStream>
  readonly owner: StreamOwner<EventStream>
  readonly settings: CompiledSettings
  /** Time at which the stream closes (option `expires`), ms since the epoch. Null for never. Read when the response opens. */
  expiresAt: number | null = null
  readonly #buffer: WriteBuffer
  readonly #response: StreamResponse
  #controller: AbortController | null = null
  #heartbeat: Heartbeat | null = null
  #timeouts: StreamTimeouts | null = null

  constructor (host: StreamHost<EventStream>, owner: StreamOwner<EventStream>, reply: FastifyReply, settings: CompiledSettings, clientId?: string) {
    // `onResponseClose` calls `emitDestroy()`, so that Node does not register a finalizer for each stream
    super('fastify-sse-routes.stream', { requireManualDestroy: true })
    this.#host = host
    this.owner = owner
    this.settings = settings
    this.#buffer = new WriteBuffer(this, settings, host.statsOf(reply.request), host.flushQueue, host.timers)
    this.#response = new StreamResponse(reply, this)
    this.request = reply.request
    this.clientId = clientId ?? this.id
    if (!this.#response.watch()) this.#onClosed('client')
  }

  get closed (): boolean { return this.closeReason !== null }
  get lastEventId (): string | null { return readLastEventId(this.request) }
  get resumed (): boolean { return isEventId(this.lastEventId ?? '') }
  get topics (): ReadonlySet<string> { return new Set(this.subscription?.topics) }
  get stats (): RouteStats { return this.#buffer.stats }

  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.closed) this.#controller.abort()
    return this.#controller.signal
  }

  /** Whether written events are still held, because the client is behind or the response is not open yet. Code that writes many events then waits for `ready()`. */
  get needsDrain (): boolean { return this.#buffer.needsDrain }

  /** Sends the reply. Fastify then runs the onSend hooks and opens the response, which calls `onResponseOpen`. */
  respond (): void {
    this.state = 'opening'
    // the response to a HEAD request has headers only, so that its stream closes before it opens
    if (this.request.method === 'HEAD') this.#onClosed('server')
    this.#response.send(this.settings.headers)
    if (this.#response.sink === null && !this.closed) this.#host.addPending(this)
  }

  onResponseOpen (sink: Sink, needsFirstByte: boolean): void {
    this.runInAsyncScope(this.#host.onOpen, this.#host, this)
    if (this.lastEventId !== null) this.subscribed()
    const { closeReason } = this
    if (closeReason === null) {
      this.#heartbeat = Heartbeat.create(this.#host.timers, this.settings, this)
      this.#timeouts = StreamTimeouts.create(this.#host.timers, this.settings, this.expiresAt, this)
    }
    this.#buffer.attach(sink, firstLines(this.settings.retry, this.subscription) || (needsFirstByte ? HEARTBEAT : ''))
    if (closeReason === null) {
      this.runInAsyncScope(this.owner.onOpen, this.owner, this)
    } else if (this.#buffer.closed) {
      // the stream was closed while the hooks ran, when there was no response to end; not by the write above
      if (ABORTS.has(closeReason)) this.#abortResponse()
      else this.#endResponse('')
      this.#report()
    }
  }

  send (payload: unknown): Promise<boolean> {
    try {
      if (this.state === 'pending') throw new SSE_ERR_NOT_OPEN()
      if (this.#response.sink?.ended) this.onResponseEnded(0)
      this.sendNow(payload)
    } catch (error) {
      return rejected(error, this.request.log, 'an event was not sent')
    }
    return this.ready()
  }

  subscribe (...topics: Target[]): void { this.addTopics(validTopics(topics)) }
  unsubscribe (...topics: Target[]): void { this.subscription?.unsubscribe(namesOf(topics)) }

  /** Subscribes the stream to topics. Does nothing if the stream is closed. For the parameters see `Subscription.subscribe`. */
  addTopics (topics: ReadonlySet<string>, rewind?: number): void { if (!this.closed) this.subscribed().subscribe(topics, rewind) }

  /** Returns the stream's subscription, and creates it at the first call. @param from see `StreamHost.createSubscription` */
  subscribed (from?: string): Subscription { return (this.subscription ??= this.#host.createSubscription(this, from)) }

  /** Sends the published events that the client missed, then new events. @returns see `Subscription.startDelivery`; null if the stream has no subscription */
  startDelivery (): Promise<void> | null {
    this.state = 'live'
    return this.subscription?.startDelivery() ?? null
  }

  /** Encodes and writes one event of the application. @throws the errors of `encode` */
  sendNow (payload: unknown): void {
    const text = this.encode(payload)
    if (text !== '') this.writeWithId(text, customIdOf(payload))
  }

  /** Returns the encoded text of an event. Functions of the route encode the event's data. @throws the errors of event/encode.ts: `encode`, `assertNoCustomId` */
  encode (payload: unknown): string {
    if (this.subscription?.allowsCustomIds === false) assertNoCustomId(payload)
    return encode(payload, payload instanceof UpstreamEvent ? this.settings.writeText : this.settings.writeData)
  }

  /** Returns a promise that resolves to true once the client takes more bytes, or to false once the stream is closed. */
  ready (): Promise<boolean> { return this.closed ? Promise.resolve(false) : this.#buffer.ready() }

  /** Writes one encoded event of the application. @param id the id that the application set in `text`; removed from it if the stream has had a topic. Hot path. */
  writeWithId (text: string, id: string | undefined): void {
    if (id === undefined || this.closed) this.write(text, this.subscription?.usesLogIds !== true)
    else if (!this.subscribed().allowsCustomIds) this.write(stripId(text, id), false)
    else if (this.write(text)) this.subscribed().customIdSent(id)
  }

  /**
   * Writes one encoded event and counts it. Hot path.
   * @param advancesId false if the event does not give the client the newest id. The heartbeat, which gives it that id, is then not postponed.
   * @param published the published event, to measure its lag (time until it is written); null for other events
   * @returns false if the event was dropped, or the stream is closed
   */
  write (text: string, advancesId = true, published: Received | null = null): boolean {
    if (this.closed || !this.#buffer.write(text, 1, published)) return false
    this.#timeouts?.sent()
    if (advancesId) this.#heartbeat?.refresh(this.#host.flushQueue.time)
    return true
  }

  /** Writes replayed events, which are encoded and joined already, and counts them. Called only while the client is not behind. Hot path. */
  writeBatch (batch: Batch, events: number): void {
    this.#buffer.writeBatch(batch, events)
    this.#timeouts?.sent()
    this.#heartbeat?.refresh(this.#host.flushQueue.time)
  }

  /** Writes an encoded `gap` event, which says that events are missing. Not counted as a sent event. @returns false if it was dropped, because the client is behind */
  writeUncounted (text: string): boolean {
    if (!this.#buffer.write(text, 0)) return false
    this.#heartbeat?.refresh(this.#host.flushQueue.time)
    return true
  }

  /** Writes a heartbeat or an `id:` line at once, even if the client is behind. @returns false if nothing was written, because the stream is closed or its events are being dropped */
  writeControl (text: string): boolean { return this.#buffer.writeControl(text) }

  sendHeartbeat (): void {
    // a client that is behind needs no heartbeat, because bytes are on the way to it
    if (!this.needsDrain) this.writeControl(this.subscription?.takeHeartbeat() || HEARTBEAT)
    this.#heartbeat?.refresh(now())
  }

  onError (error: unknown): void {
    this.destroy(error)
    this.#response.destroyNow()
  }

  onDrained (): void { this.subscribed().onDropped() }
  close (): void { this.closeWith('server') }

  /** Closes the stream: writes the buffered text and then `last`, which is encoded already, and ends the response. Does nothing if the stream is closed. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#onClosed(reason)
    this.#endResponse(last)
    this.#report()
  }

  /** Returns a promise that resolves when the response has ended or the client has disconnected. */
  finished (): Promise<void> { return this.#response.finished() }

  /** Closes the stream at shutdown. Before the end it sends `last` (an encoded event) and a `retry:` line of `retry` ms. Resolves when the response has closed. */
  drain (retry: number, last: string): Promise<void> { return this.#response.drain(() => this.closeWith('drain', last + encodeRetry(retry))) }

  /** Writes the buffered text, even if the client is behind. @returns false if the stream will be aborted, because the client was too far behind */
  flush (): boolean {
    if (this.closeReason === 'overflow' || this.closeReason === 'stalled') return false
    this.#buffer.flushNow()
    return true
  }

  /** Writes the buffered text, then aborts the response, so that the client sees a failure and not a regular end. */
  abort (): void { if (!this.closed) this.#abortNow('error') }

  onBehind (reason: 'overflow' | 'stalled'): void {
    const { maxBufferedBytes, stallTimeout } = this.settings
    this.#closeSoon(reason, `an event stream is aborted: its client ${reason === 'overflow' ? `is more than maxBufferedBytes (${maxBufferedBytes}) behind` : `has taken no byte for stallTimeout (${stallTimeout} ms)`}`)
  }

  onResponseEnded (lost: number): void {
    const { ended } = this.#response
    this.#closeSoon(ended ? 'server' : 'client', ended && lost > 0 ? `the response of an event stream was ended by other code: ${lost} bytes of events are lost` : null)
  }

  /** Logs an error and aborts the stream, so that the client reconnects. If the stream is closed already, logs at level debug. */
  destroy (error: unknown): void {
    if (this.closed) logLateFailure(error, this.request)
    else this.request.log.error(toError(error))
    this.abort()
  }

  /** Sets `closeReason` at once, so that nothing more is written and no `close()` ends the response. Aborts in the next tick, because an abort calls code of the application. */
  #closeSoon (reason: CloseReason, warning: string | null): void {
    if (this.closed) return
    this.closeReason = reason
    process.nextTick(() => {
      if (warning !== null) this.request.log.warn(warning)
      this.#abortNow(reason)
    })
  }

  /** Marks the stream as closed. Stops its timers, write buffer, subscription, and interval or source, so that nothing writes to the stream any more. */
  #onClosed (reason: CloseReason): void {
    this.closeReason = reason
    this.#heartbeat?.stop()
    this.#timeouts?.stop()
    this.#heartbeat = this.#timeouts = null
    this.#buffer.close()
    this.subscription?.close()
    if (this.#controller !== null || this.producer !== null) this.runInAsyncScope(this.#stopProducer, this)
  }

  #stopProducer (): void {
    this.#controller?.abort()
    this.#host.waitFor(this.producer?.stop(this))
    this.producer = null
  }

  /** Reports the close to the plugin and the route. Called after the last write. Does nothing if the response never opened. */
  #report (): void {
    const { closeReason } = this
    if (this.#response.sink === null || closeReason === null) return
    this.runInAsyncScope(this.#host.onClose, this.#host, this, this.#buffer.end(closeReason))
    this.#host.waitFor(this.runInAsyncScope(this.owner.onClose, this.owner, this))
  }

  #endResponse (last: string): void {
    this.#buffer.flushNow(last)
    if (this.#response.sink !== null) this.#response.end()
  }

  #abortNow (reason: CloseReason): void {
    this.#onClosed(reason)
    this.#abortResponse()
    this.#report()
  }

  #abortResponse (): void {
    const { sink } = this.#response
    if (sink === null || sink.ended) return
    this.#buffer.flushNow()
    this.#response.abort()
  }

  onResponseClose (): void {
    this.#host.removePending(this)
    if (!this.closed) {
      this.#onClosed(this.#response.ended ? 'server' : 'client')
      this.#report()
    }
    this.emitDestroy()
  }
}
