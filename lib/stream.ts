import type { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Counters } from './counters.js'
import { Door, type Guest, taken } from './door.js'
import { encode, encodeRetry, ownIdOf, refuseOwnId, withoutId } from './event.js'
import { asError, SSE_ERR_NOT_OPEN } from './errors.js'
import { timeOfTick } from './flush.js'
import { readLastEventId, setHeaders } from './head.js'
import type { StreamOptions } from './options.js'
import { Outbox, type Sender } from './outbox.js'
import { endSession, isGone, isHttp2, keepOpen, openOutlet, type Outlet, sessionOf, whenOver } from './outlet.js'
import { Deadlines, Heartbeat, type Timed } from './quiet.js'
import type { Cursor, Host, Owner, Producer } from './roles.js'
import { validTopics } from './names.js'
import { newStreamId } from './stream-id.js'
import type { CloseReason, SSEStream } from './types.js'

/** What a client has not taken so many ms after the stream was closed is cut. */
const LINGER = 5_000
/** The shortest comment: it keeps proxies from taking a quiet stream for a dead one. */
const HEARTBEAT = ':\n\n'
const FALSE = Promise.resolve(false)

/** One client: opens its response, writes at its pace, closes it. Knows no routes and no log. */
export class EventStream implements SSEStream, Guest, Sender, Timed {
  readonly id = newStreamId()
  readonly clientId: string
  readonly request: FastifyRequest
  closeReason: CloseReason | null = null
  /** The reply is sent; the stream opens after its onSend hooks. */
  started = false
  /** Set by what writes to this stream by itself. */
  producer: Producer<EventStream> | null = null
  /** Its place in the log, once there is anything to remember of it. */
  cursor: Cursor | null = null
  /** Whoever declared it has greeted the client, so that events of the log may come. */
  begun = false

  readonly #host: Host<EventStream>
  readonly #owner: Owner<EventStream>
  readonly #reply: FastifyReply
  readonly #options: StreamOptions
  readonly #outbox: Outbox
  #door: Door | null = null
  #outlet: Outlet | null = null
  #letGo: (() => void) | undefined
  #endsOutlet = true
  #controller: AbortController | null = null
  #heartbeat: Heartbeat | null = null
  #deadlines: Deadlines | null = null
  #linger: NodeJS.Timeout | undefined

  constructor (host: Host<EventStream>, owner: Owner<EventStream>, reply: FastifyReply, options: StreamOptions, clientId?: string) {
    this.#host = host
    this.#owner = owner
    this.#reply = reply
    this.#options = options
    this.#outbox = new Outbox(this, options, host.countersOf(reply.request))
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

  get counters (): Counters { return this.#outbox.counters }

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
    else raw.once('pipe', () => taken.add(this.#reply.hijack()))
    if (isGone(raw) || this.#outlet !== null || this.request.method === 'HEAD') {
      destination.end()
      return
    }
    this.#endsOutlet = endDestination
    // but for trailers, nothing of Fastify's has to wait for our end
    if (destination === raw && endDestination) this.#door?.ended()
    this.#letGo = keepOpen(raw, this.request.server.initialConfig.http2SessionTimeout)
    this.#outlet = openOutlet(raw, destination)
    this.#host.opened(this)
    const { closeReason } = this
    if (closeReason === null) {
      this.#heartbeat = Heartbeat.of(this.#host.schedules, this.#options, this)
      this.#deadlines = Deadlines.of(this.#host.schedules, this.#options, this)
    }
    // what a hook put in between lets no header through before the first byte
    this.#outbox.attach(this.#outlet, this.#firstLines() || (destination === raw ? '' : HEARTBEAT))
    if (closeReason === null) {
      this.#owner.opened(this)
    } else {
      // by the server, while the hooks ran
      this.#end()
      this.#report(closeReason)
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

  subscribe (...topics: string[]): void { this.follow(validTopics(topics)) }

  follow (topics: ReadonlySet<string>): void {
    if (!this.closed) this.#placed().subscribe(topics)
  }

  unsubscribe (...topics: string[]): void { this.cursor?.unsubscribe(topics) }

  /** The client is greeted: see `Cursor.begin`. */
  begin (): Promise<void> | null {
    this.begun = true
    return this.cursor?.begin() ?? null
  }

  /** Encodes and writes one event. @throws what `encode` throws */
  push (payload: unknown): void {
    const text = this.encode(payload)
    if (text !== '') this.writeOwn(text, ownIdOf(payload))
  }

  /** The text of an event as this stream's route writes it. @throws what `encode` and `refuseOwnId` throw */
  encode (payload: unknown): string {
    if (this.cursor?.takesIds === false) refuseOwnId(payload)
    return encode(payload, this.#options.writeData)
  }

  /** True once the client takes more, false if the stream is or gets closed; never left pending. */
  ready (): Promise<boolean> { return this.closed ? FALSE : this.#outbox.ready() }

  /** Writes one encoded event of the application's, with the id it has, if any. Hot path. */
  writeOwn (text: string, id: string | undefined): void {
    if (id === undefined || this.closed) this.write(text, this.cursor?.inLog !== true)
    else if (!this.#placed().takesIds) this.write(withoutId(text), false)
    else if (this.write(text)) this.#placed().wroteOwn(id)
  }

  /**
   * Writes one encoded event. Hot path.
   * @param placed false where it leaves the client's place in the log behind, so that a heartbeat has to bring that
   * @returns false where it was left out, or the stream is or gets closed
   */
  write (text: string, placed = true): boolean {
    if (this.closed || !this.#outbox.write(text)) return false
    this.#outbox.counters.sent++
    this.#deadlines?.sent()
    if (placed) this.#heartbeat?.broken(timeOfTick())
    return true
  }

  /** Writes text that is no event of the application's, and is not counted; false where it was left out. */
  tell (text: string): boolean {
    const written = this.#outbox.write(text)
    if (written) this.#heartbeat?.broken(timeOfTick())
    return written
  }

  /** Writes text that is no event at all, however far behind the client is; false where it was left out. */
  note (text: string): boolean { return this.#outbox.note(text) }

  wrote (now: number): void { this.cursor?.wrote(now) }

  beat (): void {
    // to a client that is behind, the bytes that wait for it are sign enough
    if (!this.congested) {
      const line = this.cursor?.line() ?? ''
      this.note(line === '' ? HEARTBEAT : `${line}\n`)
    }
    this.#heartbeat?.broken(performance.now())
  }

  broken (error: unknown): void {
    this.fail(error)
    this.#reply.raw.destroy()
  }

  gap (): string { return this.#placed().gap() }

  close (): void { this.closeWith('server') }

  /** Ends the response after what is pending, and `last`, if given. */
  closeWith (reason: CloseReason, last = ''): void {
    if (this.closed) return
    this.#finish(reason)
    if (this.#outlet !== null) this.#end(last)
  }

  /** Resolves when the response is over. */
  over (): Promise<void> { return new Promise((resolve) => { whenOver(this.#reply.raw, resolve) }) }

  /** Ends the stream with the advice to come back after `retry` ms; resolves when the response is over. */
  async drain (retry: number): Promise<void> {
    const session = sessionOf(this.#reply.raw)
    this.closeWith('drain', `${encodeRetry(retry)}\n`)
    await this.over()
    // an HTTP/2 server waits for its sessions, which clients keep open
    if (session !== undefined) endSession(session, LINGER)
  }

  /** Sends what is pending, then breaks the response off, so that the client sees a failure and no end. */
  cut (): void {
    if (this.closed || this.#outlet === null) return
    this.#finish('error')
    this.#outbox.writeOut()
    this.#outlet.cut()
    this.#lingerOn()
  }

  /** What it sends cannot be read any more: the client is cut off, so that it comes back. */
  fail (error: unknown): void {
    if (this.closed) this.request.log.debug({ err: error }, 'failed after its event stream was closed')
    else this.request.log.error(asError(error))
    this.cut()
  }

  #placed (): Cursor { return (this.cursor ??= this.#host.cursor(this)) }

  #firstLines (): string {
    const { retry } = this.#options
    const lines = `${retry === undefined ? '' : encodeRetry(retry)}${this.cursor?.takesIds === false ? this.cursor.line() : ''}`
    return lines && `${lines}\n`
  }

  /** The stream is over for whoever sends: told once, whatever the reason. */
  #finish (reason: CloseReason): void {
    this.closeReason = reason
    this.#heartbeat?.stop()
    this.#deadlines?.stop()
    this.#heartbeat = this.#deadlines = null
    this.#outbox.close()
    this.#controller?.abort()
    this.producer?.stop(this)
    this.producer = null
    this.cursor?.close()
    if (this.#outlet !== null) this.#report(reason)
  }

  #report (reason: CloseReason): void {
    this.#host.closed(this, reason)
    this.#owner.closed(this)
  }

  #end (last = ''): void {
    this.#outbox.writeOut(last)
    const taken = this.#endsOutlet && this.#outlet?.end()
    this.#door?.ended()
    if (!taken) this.#lingerOn()
  }

  #lingerOn (): void { this.#linger = setTimeout(() => this.#reply.raw.destroy(), LINGER).unref() }

  /** The response is over, by our end or the client's. */
  #gone (): void {
    this.#host.release(this)
    clearTimeout(this.#linger)
    this.#letGo?.()
    if (!this.closed) this.#finish('client')
    this.#door?.ended()
  }
}
