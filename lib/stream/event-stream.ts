import { AsyncResource } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { now } from '../clock.js'
import type { CloseReason, RouteStats } from '../stats.js'
import { encode, encodeRetry, customIdOf, assertNoCustomId, stripId } from '../event/encode.js'
import { toError, SSE_ERR_NOT_OPEN } from '../errors.js'
import { firstLines, readLastEventId } from './headers.js'
import { logLateFailure } from './late-failure.js'
import type { CompiledSettings } from './settings.js'
import { WriteBuffer, type WriteBufferOwner } from './write-buffer.js'
import type { Sink } from './sink.js'
import { StreamTimeouts, Heartbeat, type TimedStream } from './timeouts.js'
import type { Subscription, StreamHost, StreamOwner, Producer } from './contracts.js'
import { validTopics } from '../topic.js'
import { rejected } from './logged-promise.js'
import { type ResponseOwner, StreamResponse } from './response.js'
import { newStreamId } from './id.js'
import type { SSEStream } from '../types.js'
import { UpstreamEvent } from '../event/upstream.js'

/** A comment that keeps proxies from closing the connection. No blank line follows, because fetch-event-source dispatches a message at each (https://github.com/Azure/fetch-event-source/issues/15). */
const HEARTBEAT = ':\n'
const FALSE = Promise.resolve(false)

/**
 * The event stream of one client: opens its response, writes at its pace, closes it. Knows no routes and no log.
 *
 * It is the async resource of its request: `runInAsyncScope` runs callbacks of the application in the async context
 * (AsyncLocalStorage) of the request, because timers and fan-outs that serve many streams run in the context of one.
 */
export class EventStream extends AsyncResource implements SSEStream, ResponseOwner, WriteBufferOwner, TimedStream {
  readonly id = newStreamId()
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /**
   * `pending` until the reply is sent; `opening` while onSend hooks and `onConnect` run; `live` once published events may
   * be delivered. A stream may close in each state: see `closeReason`.
   */
  state: 'pending' | 'opening' | 'live' = 'pending'
  /** The interval or source of the stream. */
  producer: Producer<EventStream> | null = null
  /** Null until the stream has a topic, an id of the log, or a published event. */
  subscription: Subscription | null = null
  readonly #host: StreamHost<EventStream>
  readonly #owner: StreamOwner<EventStream>
  readonly #settings: CompiledSettings
  readonly #buffer: WriteBuffer
  readonly #response: StreamResponse
  #controller: AbortController | null = null
  #heartbeat: Heartbeat | null = null
  #timeouts: StreamTimeouts | null = null

  constructor (host: StreamHost<EventStream>, owner: StreamOwner<EventStream>, reply: FastifyReply, settings: CompiledSettings, clientId?: string) {
    // `onResponseClose` destroys the resource, so that no stream needs a finalizer
    super('fastify-sse-routes.stream', { requireManualDestroy: true })
    this.#host = host
    this.#owner = owner
    this.#settings = settings
    this.#buffer = new WriteBuffer(this, settings, host.statsOf(reply.request), host.flushQueue, host.timers)
    this.#response = new StreamResponse(reply, this)
    this.request = reply.request
    this.clientId = clientId ?? this.id
    if (!this.#response.watch()) this.#onClosed('client')
  }

  get closed (): boolean { return this.closeReason !== null }

  get lastEventId (): string | null { return readLastEventId(this.request) }

  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.closed) this.#controller.abort()
    return this.#controller.signal
  }

  get stats (): RouteStats { return this.#buffer.stats }

  /** Whether the client is behind: producers wait for `ready()`. */
  get needsDrain (): boolean { return this.#buffer.needsDrain }

  /** Sends the reply: Fastify runs the onSend hooks, then opens the response. */
  respond (): void {
    this.state = 'opening'
    // the reply to a HEAD request has headers only
    if (this.request.method === 'HEAD') this.#onClosed('server')
    this.#response.send(this.#settings.headers)
    if (this.#response.sink === null && !this.closed) this.#host.addPending(this)
  }

  onResponseOpen (sink: Sink, needsFirstByte: boolean): void {
    this.runInAsyncScope(this.#host.onOpen, this.#host, this)
    if (this.lastEventId !== null) this.subscribed()
    const { closeReason } = this
    if (closeReason === null) {
      this.#heartbeat = Heartbeat.create(this.#host.timers, this.#settings, this)
      this.#timeouts = StreamTimeouts.create(this.#host.timers, this.#settings, this)
    }
    this.#buffer.attach(sink, firstLines(this.#settings.retry, this.subscription) || (needsFirstByte ? HEARTBEAT : ''))
    if (closeReason === null) {
      this.runInAsyncScope(this.#owner.onOpen, this.#owner, this)
    } else if (this.#buffer.closed) {
      // the stream was closed while the hooks ran, not by this write
      if (closeReason === 'error' || closeReason === 'overflow') this.#abortResponse()
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

  subscribe (...topics: string[]): void { this.addTopics(validTopics(topics)) }

  /** @param topics valid ones */
  addTopics (topics: ReadonlySet<string>): void { if (!this.closed) this.subscribed().subscribe(topics) }

  /** The subscription of the stream, created at the first call. @param from see `StreamHost.createSubscription` */
  subscribed (from?: string): Subscription { return (this.subscription ??= this.#host.createSubscription(this, from)) }

  unsubscribe (...topics: string[]): void { this.subscription?.unsubscribe(topics) }

  /** Replays what the client missed, then delivers published events: see `Subscription.startDelivery`. */
  startDelivery (): Promise<void> | null {
    this.state = 'live'
    return this.subscription?.startDelivery() ?? null
  }

  /** Encodes and writes one event. @throws the errors of `encode` */
  sendNow (payload: unknown): void {
    const text = this.encode(payload)
    if (text !== '') this.writeWithId(text, customIdOf(payload))
  }

  /** Encodes an event with the data writers of the stream's route. @throws the errors of `encode` and `assertNoCustomId` */
  encode (payload: unknown): string {
    if (this.subscription?.allowsCustomIds === false) assertNoCustomId(payload)
    return encode(payload, payload instanceof UpstreamEvent ? this.#settings.writeText : this.#settings.writeData)
  }

  /** Resolves to true once the client takes more, to false once the stream is closed. */
  ready (): Promise<boolean> { return this.closed ? FALSE : this.#buffer.ready() }

  /** Writes one encoded event of the application with its custom id, if it has one. Hot path. */
  writeWithId (text: string, id: string | undefined): void {
    if (id === undefined || this.closed) this.write(text, this.subscription?.usesLogIds !== true)
    else if (!this.subscribed().allowsCustomIds) this.write(stripId(text, id), false)
    else if (this.write(text)) this.subscribed().customIdSent(id)
  }

  /**
   * Writes one encoded event. Hot path.
   * @param advancesId false if the client's id is behind after it, so that a heartbeat has to bring the id
   * @param publishedAt the time of a published event, for the measure of lag
   * @returns false if the event was dropped, or the stream is closed
   */
  write (text: string, advancesId = true, publishedAt: number | null = null): boolean {
    if (this.closed || !this.#buffer.write(text, publishedAt)) return false
    this.#buffer.countEvent()
    this.#timeouts?.sent()
    if (advancesId) this.#heartbeat?.refresh(this.#host.flushQueue.time)
    return true
  }

  /** Writes an event of the plugin, which is not counted. @returns false if it was dropped */
  writeUncounted (text: string): boolean {
    const written = this.#buffer.write(text)
    if (written) this.#heartbeat?.refresh(this.#host.flushQueue.time)
    return written
  }

  /** Writes control lines immediately, even if the client is behind. @returns false if they were dropped */
  writeControl (text: string): boolean { return this.#buffer.writeControl(text) }

  sendHeartbeat (): void {
    // a client that is behind has bytes on the way
    if (!this.needsDrain) this.writeControl(this.subscription?.takeHeartbeat() || HEARTBEAT)
    this.#heartbeat?.refresh(now())
  }

  onError (error: unknown): void {
    this.destroy(error)
    this.#response.destroyNow()
  }

  onDrained (): void { this.#buffer.write(this.subscribed().takeGapEvent()) }

  close (): void { this.closeWith('server') }

  /** Ends the response after the pending text and `last`. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#onClosed(reason)
    this.#endResponse(last)
    this.#report()
  }

  /** Resolves when the response has closed. */
  finished (): Promise<void> { return this.#response.finished() }

  /** Ends the stream with `last` and a `retry:` line of `retry` ms. Resolves when the response has closed. */
  drain (retry: number, last: string): Promise<void> { return this.#response.drain(() => this.closeWith('drain', last + encodeRetry(retry))) }

  /** Writes the pending text, even if the client is behind. @returns false if the stream is about to be aborted */
  flush (): boolean {
    if (this.closeReason === 'overflow') return false
    this.#buffer.flushNow()
    return true
  }

  /** Sends the pending text, then aborts the response, so that the client sees a failure and not an end. */
  abort (): void { if (!this.closed) this.#abortNow('error') }

  onOverflow (): void {
    this.#closeSoon('overflow', `an event stream is aborted: its client is more than maxBufferedBytes (${this.#settings.maxBufferedBytes}) behind`)
  }

  onResponseEnded (lost: number): void {
    const { ended } = this.#response
    this.#closeSoon(ended ? 'server' : 'client', ended && lost > 0 ? `the response of an event stream was ended by other code: ${lost} bytes of events are lost` : null)
  }

  /** Logs an error and aborts the stream, so that the client reconnects. */
  destroy (error: unknown): void {
    if (this.closed) logLateFailure(error, this.request)
    else this.request.log.error(toError(error))
    this.abort()
  }

  /**
   * Closes the stream at once for writes, so that no `close()` within the tick makes a clean end of it. The rest follows a
   * tick later, because it calls code of the application.
   */
  #closeSoon (reason: CloseReason, warning: string | null): void {
    if (this.closed) return
    this.closeReason = reason
    process.nextTick(() => {
      if (warning !== null) this.request.log.warn(warning)
      this.#abortNow(reason)
    })
  }

  /** Stops everything that writes to the stream. */
  #onClosed (reason: CloseReason): void {
    this.closeReason = reason
    this.#heartbeat?.stop()
    this.#timeouts?.stop()
    this.#heartbeat = this.#timeouts = null
    this.#buffer.close()
    this.subscription?.close()
    this.runInAsyncScope(() => {
      this.#controller?.abort()
      this.#host.waitFor(this.producer?.stop(this))
    })
    this.producer = null
  }

  /** Reports the close of a stream that was open, once its last bytes are written. */
  #report (): void {
    const { closeReason } = this
    if (this.#response.sink === null || closeReason === null) return
    this.runInAsyncScope(this.#host.onClose, this.#host, this, this.#buffer.end(closeReason))
    this.#host.waitFor(this.runInAsyncScope(this.#owner.onClose, this.#owner, this))
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
