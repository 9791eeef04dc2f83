import { randomBytes } from 'node:crypto'
import type { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Door, type Guest } from './door.js'
import { type DataWriter, encode, encodeRetry, plainData, type SSEPayload } from './event.js'
import { SSE_ERR_NOT_OPEN } from './errors.js'
import { readLastEventId, setHeaders } from './head.js'
import type { StreamSettings } from './options.js'
import { Outbox, type Sender } from './outbox.js'
import { isGone, isHttp2, keepOpen, openOutlet, type Outlet, whenOver } from './outlet.js'
import { Heartbeat, IdleTimeout, type Quietable } from './quiet.js'
import { LONGEST, type Schedules } from './schedule.js'
import type { CloseReason, SSEStream } from './types.js'

/** What a stream is told once, by the plugin's options and its route's; ms and bytes. */
export interface StreamOptions extends StreamSettings {
  writeData: DataWriter
}

/** Options with the data writer of a stream that declares no events. */
export function streamOptions (settings: StreamSettings): StreamOptions {
  return { ...settings, writeData: plainData(settings.serializer) }
}

/** The plugin, as far as one of its streams knows it. */
export interface Host {
  readonly schedules: Schedules
  readonly counters: { sent: number, dropped: number, gaps: number, bytes: number }
  /** The stream is started, and has to wait before it is open. */
  hold (stream: EventStream): void
  /** The stream will not open. */
  release (stream: EventStream): void
  opened (stream: EventStream): void
  closed (stream: EventStream, reason: CloseReason): void
}

/** Whoever declared the stream: told when it is open and when it is closed, each at most once. */
export interface Owner {
  opened (stream: EventStream): void
  closed (stream: EventStream): void
}

/** Whatever writes to the stream by itself, and stops when it is closed. */
export interface Producer {
  stop (stream: EventStream): void
}

/** What a client has not taken so many ms after the stream was closed is cut. */
const LINGER = 5_000
/** The shortest comment: it keeps proxies from taking a quiet stream for a dead one. */
const HEARTBEAT = ':\n\n'
const FALSE = Promise.resolve(false)

/** One client: opens its response, writes at its pace, closes it. Knows no routes and no topics. */
export class EventStream implements SSEStream, Guest, Sender, Quietable {
  readonly id = randomBytes(15).toString('base64url')
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /** The reply is sent; the stream opens after its onSend hooks. */
  started = false
  /** Set by what writes to this stream by itself. */
  producer: Producer | null = null

  readonly #host: Host
  readonly #owner: Owner | null
  readonly #reply: FastifyReply
  readonly #options: StreamOptions
  readonly #outbox: Outbox
  #door: Door | null = null
  #outlet: Outlet | null = null
  #letGo: (() => void) | undefined
  #endsOutlet = true
  #lastId: string | null = null
  #controller: AbortController | null = null
  #heartbeat: Heartbeat | null = null
  #idle: IdleTimeout | null = null
  /** While it is open the end of its lifetime, afterwards the end of our patience. */
  #timer: NodeJS.Timeout | undefined

  constructor (host: Host, owner: Owner | null, reply: FastifyReply, options: StreamOptions, clientId?: string) {
    this.#host = host
    this.#owner = owner
    this.#reply = reply
    this.#options = options
    this.#outbox = new Outbox(this, options, host.counters)
    this.request = reply.request
    this.clientId = clientId ?? this.id
    const { raw } = reply
    if (isGone(raw)) {
      this.#finish('client')
      return
    }
    whenOver(raw, () => this.#gone())
    // a reset with NO_ERROR leaves Node's stream open as long as data waits for the client
    if (isHttp2(raw)) raw.stream.once('aborted', () => { if (!this.closed) raw.destroy() })
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

  /** Whether what is not made yet had better wait, since the client is behind. */
  get congested (): boolean { return this.#outbox.congested }

  /** Replies with the stream: Fastify runs the onSend hooks, then lets it `enter` the response. */
  start (): void {
    this.started = true
    setHeaders(this.#reply, this.#options.headers)
    // to a HEAD request there is nothing to say but the headers
    if (this.request.method === 'HEAD') this.#finish('server')
    this.#door = new Door(this)
    this.#reply.send(this.#door)
    if (this.#outlet === null && !this.closed) this.#host.hold(this)
  }

  enter (destination: Writable, endDestination: boolean): void {
    const { raw } = this.#reply
    if (this.#outlet !== null) this.request.log.error('an event stream was piped a second time: it goes only where it was piped first')
    // takes the stream out of handlerTimeout's reach; while hooks may still refuse it, Fastify keeps the reply
    if (destination === raw) this.#reply.hijack()
    else raw.once('pipe', () => this.#reply.hijack())
    if (isGone(raw) || this.#outlet !== null || this.request.method === 'HEAD') {
      destination.end()
      return
    }
    this.#endsOutlet = endDestination
    if (destination === raw) {
      raw.flushHeaders()
      // but for trailers, nothing of Fastify's has to wait for our end
      if (endDestination) this.#door?.ended()
    }
    this.#letGo = keepOpen(raw, this.request.server.initialConfig.http2SessionTimeout)
    this.#outlet = openOutlet(raw, destination)
    if (this.#options.retry !== undefined) this.#outlet.write(`${encodeRetry(this.#options.retry)}\n`)
    // what a hook put in between lets no header through before the first byte
    else if (destination !== raw) this.#outlet.write(HEARTBEAT)
    this.#host.opened(this)
    const { closeReason } = this
    if (closeReason !== null) {
      // by the server, while the hooks ran
      this.#outbox.attach(this.#outlet)
      this.#end()
      this.#report(closeReason)
    } else {
      this.#startTimers()
      this.#outbox.attach(this.#outlet)
      this.#owner?.opened(this)
    }
  }

  send (payload: unknown): Promise<boolean> {
    if (!this.started) return Promise.reject(new SSE_ERR_NOT_OPEN())
    try {
      this.push(payload)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.ready()
  }

  /** Encodes and writes one event. @throws what `encode` throws */
  push (payload: unknown): void {
    const text = this.encode(payload)
    if (text === '' || !this.write(text)) return
    const id = typeof payload === 'object' ? (payload as SSEPayload).id : undefined
    if (id !== undefined) this.#lastId = String(id)
  }

  /** The text of an event as this stream's route writes it. */
  encode (payload: unknown): string {
    return encode(payload, this.#options.writeData)
  }

  /** True once the client takes more, false if the stream is or gets closed; never left pending. */
  ready (): Promise<boolean> {
    return this.closed ? FALSE : this.#outbox.ready()
  }

  /**
   * Writes one encoded event. Hot path.
   * @returns false where it was left out, or the stream is or gets closed
   */
  write (text: string): boolean {
    if (this.closed || !this.#outbox.write(text)) return false
    this.#host.counters.sent++
    this.#idle?.broken(performance.now())
    return true
  }

  wrote (now: number): void {
    this.#heartbeat?.broken(now)
  }

  beat (): void {
    // to a client that is behind, the bytes that wait for it are sign enough
    if (!this.congested) this.#outbox.writeOut(HEARTBEAT)
    this.#heartbeat?.broken(performance.now())
  }

  idled (): void { this.closeWith('idle') }

  overflowed (): void { this.closeWith('overflow') }

  gap (): string {
    this.#host.counters.gaps++
    return encode({ event: 'gap', data: { lastEventId: this.#lastId ?? this.lastEventId, oldestId: null } })
  }

  close (): void { this.closeWith('server') }

  /** Ends the response after what is pending, and `last`, if given. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#finish(reason)
    if (this.#outlet !== null) this.#end(last)
  }

  /** Resolves when the response is over. */
  over (): Promise<void> {
    return new Promise((resolve) => { whenOver(this.#reply.raw, resolve) })
  }

  /** Ends the stream with the advice to come back after `retry` ms; resolves when the response is over. */
  async drain (retry: number): Promise<void> {
    const { raw } = this.#reply
    const session = isHttp2(raw) ? raw.stream.session : undefined
    this.closeWith('drain', `${encodeRetry(retry)}\n`)
    await this.over()
    // an HTTP/2 server waits for its sessions, which clients keep open
    session?.close()
  }

  /** Sends what is pending, then breaks the response off, so that the client sees a failure and no end. */
  cut (): void {
    if (this.closed || this.#outlet === null) return
    this.#finish('error')
    this.#outbox.writeOut()
    this.#outlet.cut()
    this.#lingerOn()
  }

  #startTimers (): void {
    const { heartbeat, idleTimeout, maxLifetime } = this.#options
    const { schedules } = this.#host
    if (heartbeat > 0) this.#heartbeat = new Heartbeat(schedules, heartbeat, this)
    if (idleTimeout > 0) this.#idle = new IdleTimeout(schedules, idleTimeout, this)
    if (maxLifetime > 0) {
      const spread = 0.9 + 0.2 * Math.random()
      this.#timer = setTimeout(() => this.closeWith('lifetime'), Math.min(maxLifetime * spread, LONGEST)).unref()
    }
  }

  /** The stream is over for whoever sends: told once, whatever the reason. */
  #finish (reason: CloseReason): void {
    this.closeReason = reason
    this.#heartbeat?.stop()
    this.#idle?.stop()
    this.#heartbeat = this.#idle = null
    clearTimeout(this.#timer)
    this.#outbox.close()
    this.#controller?.abort()
    this.producer?.stop(this)
    this.producer = null
    if (this.#outlet !== null) this.#report(reason)
  }

  #report (reason: CloseReason): void {
    this.#host.closed(this, reason)
    this.#owner?.closed(this)
  }

  #end (last = ''): void {
    this.#outbox.writeOut(last)
    if (this.#endsOutlet) this.#outlet?.end()
    this.#door?.ended()
    this.#lingerOn()
  }

  #lingerOn (): void {
    this.#timer = setTimeout(() => this.#reply.raw.destroy(), LINGER).unref()
  }

  /** The response is over, by our end or the client's. */
  #gone (): void {
    this.#host.release(this)
    clearTimeout(this.#timer)
    this.#letGo?.()
    if (!this.closed) this.#finish('client')
    this.#door?.ended()
  }
}
