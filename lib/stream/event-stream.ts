import { AsyncResource } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { now } from '../clock.js'
import type { RouteStats } from '../stats.js'
import { encode, encodeRetry, customIdOf, assertNoCustomId, stripId } from '../event/encode.js'
import { logLateFailure } from '../routes/callbacks.js'
import { toError, SSE_ERR_NOT_OPEN } from '../errors.js'
import { timeOfTick } from './flush-queue.js'
import { firstLines, readLastEventId } from './headers.js'
import type { StreamOptions } from '../options/read.js'
import { WriteBuffer, type Sender } from './write-buffer.js'
import type { Sink } from './sink.js'
import { StreamTimeouts, Heartbeat, type TimedStream } from './timeouts.js'
import type { Subscription, StreamHost, StreamOwner, Producer } from './contracts.js'
import { validTopics } from '../topic.js'
import { rejected } from './logged-promise.js'
import { type ResponseStream, StreamResponse } from './response.js'
import { newStreamId } from './id.js'
import type { CloseReason, SSEStream } from '../types.js'
import { UpstreamEvent } from '../event/upstream.js'

/** A sign of life for proxies. No blank line follows, because fetch-event-source dispatches a message at each (https://github.com/Azure/fetch-event-source/issues/15). */
const HEARTBEAT = ':\n'
const FALSE = Promise.resolve(false)

/**
 * One client: opens its response, writes at its pace, closes it. Knows no routes and no log.
 *
 * Is the async resource of its request: `runInAsyncScope` runs the application's callbacks in the async context
 * (AsyncLocalStorage) of the request, because timers and fan-outs that serve many streams run in the context of one.
 */
export class EventStream extends AsyncResource implements SSEStream, ResponseStream, Sender, TimedStream {
  readonly id = newStreamId()
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /** The reply is sent; the stream opens after its onSend hooks. */
  responded = false
  /** Set by what writes to this stream by itself. */
  producer: Producer<EventStream> | null = null
  /** Its place in the log, once there is anything to remember of it. */
  subscription: Subscription | null = null
  /** Whoever declared it has greeted the client, so that events of the log may come. */
  deliveryStarted = false
  readonly #host: StreamHost<EventStream>
  readonly #owner: StreamOwner<EventStream>
  readonly #options: StreamOptions
  readonly #buffer: WriteBuffer
  readonly #response: StreamResponse
  #controller: AbortController | null = null
  #heartbeat: Heartbeat | null = null
  #timeouts: StreamTimeouts | null = null

  constructor (host: StreamHost<EventStream>, owner: StreamOwner<EventStream>, reply: FastifyReply, options: StreamOptions, clientId?: string) {
    // `gone` destroys it, which spares each stream a finalizer
    super('fastify-sse-routes.stream', { requireManualDestroy: true })
    this.#host = host
    this.#owner = owner
    this.#options = options
    this.#buffer = new WriteBuffer(this, options, host.statsOf(reply.request), host.timers)
    this.#response = new StreamResponse(reply, this)
    this.request = reply.request
    this.clientId = clientId ?? this.id
    if (!this.#response.watch()) this.#onClosed('client')
  }

  get closed (): boolean { return this.closeReason !== null }

  get lastEventId (): string | null { return readLastEventId(this.request) }

  get signal (): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.closed) this.#controller.abort()
    }
    return this.#controller.signal
  }

  get stats (): RouteStats { return this.#buffer.counters }

  /** Whether what is not made yet had better wait, since the client is behind. */
  get congested (): boolean { return this.#buffer.needsDrain }

  /** Replies with the stream: Fastify runs the onSend hooks, then the response is `opened`. */
  respond (): void {
    this.responded = true
    // to a HEAD request there is nothing to say but the headers
    if (this.request.method === 'HEAD') this.#onClosed('server')
    this.#response.send(this.#options.headers)
    if (this.#response.sink === null && !this.closed) this.#host.addPending(this)
  }

  opened (sink: Sink, needsFirstByte: boolean): void {
    this.runInAsyncScope(this.#host.opened, this.#host, this)
    const { closeReason } = this
    if (closeReason === null) {
      this.#heartbeat = Heartbeat.create(this.#host.timers, this.#options, this)
      this.#timeouts = StreamTimeouts.create(this.#host.timers, this.#options, this)
    }
    this.#buffer.attach(sink, firstLines(this.#options.retry, this.subscription) || (needsFirstByte ? HEARTBEAT : ''))
    if (closeReason === null) {
      this.runInAsyncScope(this.#owner.opened, this.#owner, this)
    } else if (this.#buffer.closed) {
      // while the hooks ran, and not just now
      if (closeReason === 'error' || closeReason === 'overflow') this.#abortResponse()
      else this.#endResponse('')
      this.#report()
    }
  }

  send (payload: unknown): Promise<boolean> {
    try {
      if (!this.responded) throw new SSE_ERR_NOT_OPEN()
      if (this.#response.sink?.ended) this.responseEnded(0)
      this.sendNow(payload)
    } catch (error) {
      return rejected(error, this.request.log, 'an event was not sent')
    }
    return this.ready()
  }

  subscribe (...topics: string[]): void { this.follow(validTopics(topics)) }

  follow (topics: ReadonlySet<string>): void { if (!this.closed) this.#subscribed().subscribe(topics) }

  unsubscribe (...topics: string[]): void { this.subscription?.unsubscribe(topics) }

  /** The client is greeted: see `Cursor.begin`. */
  startDelivery (): Promise<void> | null {
    this.deliveryStarted = true
    return this.subscription?.startDelivery() ?? null
  }

  /** Encodes and writes one event. @throws what `encode` throws */
  sendNow (payload: unknown): void {
    const text = this.encode(payload)
    if (text !== '') this.writeWithId(text, customIdOf(payload))
  }

  /** The text of an event as this stream's route writes it. @throws what `encode` and `refuseOwnId` throw */
  encode (payload: unknown): string {
    if (this.subscription?.allowsCustomIds === false) assertNoCustomId(payload)
    return encode(payload, payload instanceof UpstreamEvent ? this.#options.writeText : this.#options.writeData)
  }

  /** True once the client takes more, false if the stream is or gets closed; never left pending. */
  ready (): Promise<boolean> { return this.closed ? FALSE : this.#buffer.ready() }

  /** Writes one encoded event of the application's, with the id it has, if any. Hot path. */
  writeWithId (text: string, id: string | undefined): void {
    if (id === undefined || this.closed) this.write(text, this.subscription?.usesLogIds !== true)
    else if (!this.#subscribed().allowsCustomIds) this.write(stripId(text, id), false)
    else if (this.write(text)) this.#subscribed().customIdSent(id)
  }

  /**
   * Writes one encoded event. Hot path.
   * @param placed false where it leaves the client's place in the log behind, so that a heartbeat has to bring that
   * @returns false where it was left out, or the stream is or gets closed
   */
  write (text: string, placed = true): boolean {
    if (this.closed || !this.#buffer.write(text)) return false
    this.#buffer.countEvent()
    this.#timeouts?.sent()
    if (placed) this.#heartbeat?.refresh(timeOfTick())
    return true
  }

  /** Writes text that is no event of the application's, and is not counted; false where it was left out. */
  writeUncounted (text: string): boolean {
    const written = this.#buffer.write(text)
    if (written) this.#heartbeat?.refresh(timeOfTick())
    return written
  }

  /** Writes text that is no event at all, however far behind the client is; false where it was left out. */
  note (text: string): boolean { return this.#buffer.writeControl(text) }

  wrote (time: number): void { this.subscription?.wrote(time) }

  sendHeartbeat (): void {
    // to a client that is behind, the bytes that wait for it are sign enough
    if (!this.congested) this.note(this.subscription?.takeHeartbeat() || HEARTBEAT)
    this.#heartbeat?.refresh(now())
  }

  broken (error: unknown): void {
    this.destroy(error)
    this.#response.destroyNow()
  }

  gap (): string { return this.#subscribed().gap() }

  close (): void { this.closeWith('server') }

  /** Ends the response after what is pending, and `last`, if given. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#onClosed(reason)
    this.#endResponse(last)
    this.#report()
  }

  /** Resolves when the response is over. */
  finished (): Promise<void> { return this.#response.finished() }

  /** Ends the stream with `last`, and the advice to reconnect after `retry` ms; resolves when the response is over. */
  drain (retry: number, last: string): Promise<void> { return this.#response.drain(() => this.closeWith('drain', last + encodeRetry(retry))) }

  /** Writes what is pending, however far behind the client is; false where the stream is to be aborted. */
  flush (): boolean {
    if (this.closeReason === 'overflow') return false
    this.#buffer.flushNow()
    return true
  }

  /** Sends what is pending, then aborts the response, so that the client sees a failure and no end. */
  abort (): void { if (!this.closed) this.#abortNow('error') }

  overflowed (): void {
    this.#closeSoon('overflow', `an event stream is aborted: its client is more than maxBufferedBytes (${this.#options.maxBufferedBytes}) behind`)
  }

  /** The response is over for other code, or its client has left: nothing may be written. @param lost bytes that were to be written */
  responseEnded (lost: number): void {
    const { ended } = this.#response
    this.#closeSoon(ended ? 'server' : 'client', ended && lost > 0 ? `the response of an event stream was ended by other code: ${lost} bytes of events are lost` : null)
  }

  /** What it sends cannot be read any more: the client is cut off, so that it comes back. */
  destroy (error: unknown): void {
    if (this.closed) logLateFailure(error, this.request)
    else this.request.log.error(toError(error))
    this.abort()
  }

  /** Takes nothing more from now on, so that no `close()` within the tick makes a clean end of it. The rest, which calls the application, follows a tick later. */
  #closeSoon (reason: CloseReason, warning: string | null): void {
    if (this.closed) return
    this.closeReason = reason
    process.nextTick(() => {
      if (warning !== null) this.request.log.warn(warning)
      this.#abortNow(reason)
    })
  }

  #subscribed (): Subscription { return (this.subscription ??= this.#host.createSubscription(this)) }

  /** Stops everything that writes to the stream, once, whatever the reason. */
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

  /** Reports the end of a stream that has opened, once its last bytes are written. */
  #report (): void {
    const { closeReason } = this
    if (this.#response.sink === null || closeReason === null) return
    this.runInAsyncScope(this.#host.closed, this.#host, this, this.#buffer.end(closeReason))
    this.#host.waitFor(this.runInAsyncScope(this.#owner.closed, this.#owner, this))
  }

  #endResponse (last: string): void {
    if (this.#response.sink === null) return
    this.#buffer.flushNow(last)
    this.#response.end()
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
