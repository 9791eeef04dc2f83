import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { flushLater } from './batch.js'
import { Door, type Guest } from './door.js'
import { type DataWriter, encode, encodeRetry, type SSEPayload } from './event.js'
import { SSE_ERR_NOT_OPEN } from './errors.js'
import { isGone, isHttp2, openOutlet, type Outlet } from './outlet.js'
import { Quiet } from './quiet.js'
import type { Schedules } from './schedule.js'
import type { CloseReason, SSEStream } from './types.js'

/** What a stream is told once, by the plugin's options and its route's; ms and bytes. */
export interface StreamOptions {
  heartbeat: number
  retry: number | undefined
  headers: Readonly<Record<string, string>>
  maxBufferedBytes: number
  overflow: 'disconnect' | 'drop'
  idleTimeout: number
  maxLifetime: number
  writeData: DataWriter
}

/** The plugin, as far as one of its streams knows it. */
export interface Host {
  readonly schedules: Schedules
  readonly counters: { sent: number, dropped: number, gaps: number, bytes: number }
  opened (stream: EventStream): void
  closed (stream: EventStream): void
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

/** Text that waits for the end of the tick is written earlier past this length: Node's own high-water mark. */
const BATCH = 16_384
/** What a client has not taken so many ms after the stream was closed is cut. */
const LINGER = 5_000
/** The shortest comment: it keeps proxies from taking a quiet stream for a dead one. */
const HEARTBEAT = ':\n\n'

const TRUE = Promise.resolve(true)
const FALSE = Promise.resolve(false)

/** One client: opens its response, writes at its pace, closes it. Knows no routes and no topics. */
export class EventStream implements SSEStream, Guest {
  readonly id = randomUUID()
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /** Set by what writes to this stream by itself. */
  producer: Producer | null = null

  readonly #host: Host
  readonly #owner: Owner | null
  readonly #reply: FastifyReply
  readonly #options: StreamOptions
  #started = false
  #door: Door | null = null
  #outlet: Outlet | null = null
  #endsOutlet = true
  /** Text not yet given to the outlet: of this tick, or of the time since the client fell behind. */
  #pending = ''
  /** Bytes of `#pending`, kept only while congested. */
  #pendingBytes = 0
  /** The client is behind; a stream that is not open yet counts as such. */
  #congested = true
  #drained: { promise: Promise<boolean>, resolve: (open: boolean) => void } | null = null
  /** Events left out since the client fell behind, where `overflow` is `drop`. */
  #left = 0
  #lastId: string | null = null
  #controller: AbortController | null = null
  #heartbeat: Quiet | null = null
  #idle: Quiet | null = null
  #lifetime: NodeJS.Timeout | undefined
  #linger: NodeJS.Timeout | undefined

  constructor (host: Host, owner: Owner | null, reply: FastifyReply, options: StreamOptions, clientId?: string) {
    this.#host = host
    this.#owner = owner
    this.#reply = reply
    this.#options = options
    this.request = reply.request
    this.clientId = clientId ?? this.id
    const { raw } = reply
    if (isGone(raw)) {
      this.#finish('client')
      return
    }
    raw.on('close', this.#gone)
    // a reset with NO_ERROR leaves Node's stream open as long as data waits for the client
    if (isHttp2(raw)) raw.stream.once('aborted', () => { if (!this.closed) raw.destroy() })
  }

  get closed (): boolean {
    return this.closeReason !== null
  }

  get lastEventId (): string | null {
    const header = this.request.headers['last-event-id']
    // Node decodes headers as latin1, clients send UTF-8
    if (typeof header === 'string') return Buffer.from(header, 'latin1').toString() || null
    const query = this.request.raw.url?.split('?', 2)[1]
    return new URLSearchParams(query).get('lastEventId') || null
  }

  get signal (): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController()
      if (this.closed) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /** Whether what is not made yet had better wait, since the client is behind. */
  get congested (): boolean {
    return this.#congested
  }

  /** Replies with the stream: Fastify runs the onSend hooks, then lets it `enter` the response. */
  start (): void {
    const reply = this.#reply
    this.#started = true
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache, no-transform')
    if (!reply.hasHeader('x-accel-buffering')) reply.header('x-accel-buffering', 'no')
    if (!isHttp2(reply.raw) && reply.raw.shouldKeepAlive && reply.request.raw.httpVersion === '1.1') reply.header('connection', 'keep-alive')
    reply.headers(this.#options.headers).header('content-type', 'text/event-stream')
    // to a HEAD request there is nothing to say but the headers
    if (this.request.method === 'HEAD') this.#finish('server')
    this.#door = new Door(this)
    reply.send(this.#door)
  }

  enter (destination: NodeJS.WritableStream, endDestination: boolean): void {
    const { raw } = this.#reply
    // takes the stream out of handlerTimeout's reach
    this.#reply.hijack()
    if (isGone(raw) || this.request.method === 'HEAD') {
      destination.end()
      return
    }
    this.#endsOutlet = endDestination
    if (destination === raw) {
      raw.flushHeaders()
      raw.socket?.setTimeout?.(0)
      // but for trailers, nothing of Fastify's has to wait for our end
      if (endDestination) this.#closeDoor()
    }
    this.#outlet = openOutlet(raw, destination)
    if (this.#options.retry !== undefined) this.#outlet.write(`${encodeRetry(this.#options.retry)}\n`)
    // what a hook put in between lets no header through before the first byte
    else if (destination !== raw) this.#outlet.write(HEARTBEAT)
    this.#host.opened(this)
    if (this.closed) {
      // by the server, while the hooks ran
      this.#end()
      this.#report()
    } else {
      this.#startTimers()
      this.#relieve()
      this.#owner?.opened(this)
    }
  }

  send (payload: unknown): Promise<boolean> {
    if (!this.#started) return Promise.reject(new SSE_ERR_NOT_OPEN())
    try {
      this.push(payload)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.ready()
  }

  /** Encodes and writes one event; false where it was left out. @throws what `encode` throws */
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
    if (this.closed) return FALSE
    if (!this.#congested) return TRUE
    this.#drained ??= settleLater()
    return this.#drained.promise
  }

  /**
   * Writes one encoded event; what is written within a tick goes out together. Hot path.
   * @returns false where it was left out, or the stream is or gets closed
   */
  write (text: string): boolean {
    if (this.closed || (this.#congested && !this.#admits(text))) return false
    this.#host.counters.sent++
    this.#idle?.broken(performance.now())
    if (this.#pending === '') flushLater(this)
    this.#pending += text
    if (this.#pending.length > BATCH) this.flush(performance.now())
    return true
  }

  /** Gives what is pending to the client, unless it is behind. `now` is for the heartbeat, ms. */
  flush (now: number): void {
    if (this.#congested || this.#pending === '') return
    this.#heartbeat?.broken(now)
    if (this.#writeOut()) return
    this.#congested = true
    // The pause lets the other streams have their turn when a client takes all that a fast source gives.
    this.#outlet?.onDrain(() => setImmediate(() => this.#relieve()))
  }

  close (): void {
    this.closeWith('server')
  }

  /** Ends the response after what is pending, and `last`, if given. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#finish(reason)
    this.#pending += last
    if (this.#outlet !== null) this.#end()
  }

  /** Ends the stream with the advice to come back after `retry` ms; resolves when the response is over. */
  async drain (retry: number): Promise<void> {
    const { raw } = this.#reply
    const session = isHttp2(raw) ? raw.stream.session : undefined
    const over = new Promise((resolve) => { raw.once('close', resolve) })
    this.closeWith('drain', `${encodeRetry(retry)}\n`)
    await over
    // an HTTP/2 server waits for its sessions, which clients keep open
    session?.close()
  }

  /** Sends what is pending, then breaks the response off, so that the client sees a failure and no end. */
  cut (): void {
    if (this.closed || this.#outlet === null) return
    this.#finish('error')
    this.#writeOut()
    this.#outlet.cut()
    this.#lingerOn()
  }

  /** Makes room for an event to a client that is behind, or acts as `overflow` says. */
  #admits (text: string): boolean {
    const { maxBufferedBytes, overflow } = this.#options
    const buffered = this.#pendingBytes + (this.#outlet?.buffered ?? 0)
    if (this.#left === 0 && buffered <= maxBufferedBytes) {
      this.#pendingBytes += Buffer.byteLength(text)
      return true
    }
    if (overflow === 'disconnect') {
      this.closeWith('overflow')
    } else {
      this.#left++
      this.#host.counters.dropped++
    }
    return false
  }

  /** The client has caught up: it gets what is pending, a gap event for what was left out, and more. */
  #relieve (): void {
    if (this.closed) return
    this.#congested = false
    this.flush(performance.now())
    if (this.#congested) return
    if (this.#left > 0) {
      this.#left = 0
      this.#host.counters.gaps++
      this.write(encode({ event: 'gap', data: { lastEventId: this.#lastId ?? this.lastEventId, oldestId: null } }))
    }
    this.#drained?.resolve(true)
    this.#drained = null
  }

  #writeOut (): boolean {
    if (this.#pending === '' || this.#outlet === null) return true
    const text = this.#pending
    this.#pending = ''
    this.#pendingBytes = 0
    this.#host.counters.bytes += Buffer.byteLength(text)
    return this.#outlet.write(text)
  }

  #startTimers (): void {
    const { heartbeat, idleTimeout, maxLifetime } = this.#options
    const { schedules } = this.#host
    if (heartbeat > 0) this.#heartbeat = new Quiet(schedules, heartbeat, () => this.#beat())
    if (idleTimeout > 0) this.#idle = new Quiet(schedules, idleTimeout, () => this.closeWith('idle'))
    if (maxLifetime > 0) {
      const spread = 0.9 + 0.2 * Math.random()
      this.#lifetime = setTimeout(() => this.closeWith('lifetime'), maxLifetime * spread).unref()
    }
  }

  #beat (): void {
    // to a client that is behind, the bytes that wait for it are sign enough
    if (!this.#congested) this.#outlet?.write(HEARTBEAT)
    this.#heartbeat?.broken(performance.now())
  }

  /** The stream is over for whoever sends: told once, whatever the reason. */
  #finish (reason: CloseReason): void {
    this.closeReason = reason
    this.#heartbeat?.stop()
    this.#idle?.stop()
    clearTimeout(this.#lifetime)
    this.#drained?.resolve(false)
    this.#drained = null
    this.#controller?.abort()
    this.producer?.stop(this)
    this.producer = null
    if (this.#outlet !== null) this.#report()
  }

  #report (): void {
    this.#host.closed(this)
    this.#owner?.closed(this)
  }

  #end (): void {
    this.#writeOut()
    if (this.#endsOutlet) this.#outlet?.end()
    this.#closeDoor()
    this.#lingerOn()
  }

  #closeDoor (): void {
    this.#door?.ended()
    this.#door = null
  }

  #lingerOn (): void {
    this.#linger = setTimeout(() => this.#reply.raw.destroy(), LINGER).unref()
  }

  /** The response is over, by our end or the client's. */
  #gone = (): void => {
    clearTimeout(this.#linger)
    if (!this.closed) this.#finish('client')
    this.#closeDoor()
  }
}

function settleLater (): { promise: Promise<boolean>, resolve: (open: boolean) => void } {
  let resolve: (open: boolean) => void = () => {}
  const promise = new Promise<boolean>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
