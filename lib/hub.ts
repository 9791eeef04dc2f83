import type { FastifyRequest } from 'fastify'
import type { Backplane } from './backplane.js'
import { COUNTERS, type Counters, RouteCounters } from './counters.js'
import { LogCursor, type Log } from './cursor.js'
import { type DataWriter, encodePublished } from './event.js'
import { isEventId } from './event-id.js'
import type { Gap, Page, PublishedEvent } from './history.js'
import { validClientId, validTopic } from './names.js'
import { Pending } from './pending.js'
import type { Cursor, Host } from './roles.js'
import { Schedules } from './schedule.js'
import type { EventStream } from './stream.js'
import type { CloseReason, SSE, SSEStats } from './types.js'

/** The streams that are open in this process, and who of them gets what is published. */
export class Hub implements SSE, Host<EventStream>, Log {
  readonly streams = new Map<string, EventStream>()
  readonly schedules = new Schedules()
  /** The requests that await their topics. */
  readonly pending = new Pending()
  readonly [COUNTERS] = new RouteCounters()
  readonly topics = new Map<string, Set<Cursor>>()
  /** The streams whose client id is not their own id. */
  readonly clients = new Map<string, Set<EventStream>>()

  /** Streams that are not open yet: they wait for the first item of their source, or for onSend hooks. */
  readonly #waiting = new Set<EventStream>()
  readonly #backplane: Backplane
  readonly #writeData: DataWriter
  readonly #spread: number
  #draining = false
  /** The event that was handed on last. */
  #handed = ''

  /**
   * @param writeData makes the text of a published event's data
   * @param spread within how many ms clients are told to come back when they are drained
   */
  constructor (backplane: Backplane, writeData: DataWriter, spread: number) {
    this.#backplane = backplane
    this.#writeData = writeData
    this.#spread = spread
  }

  async open (): Promise<void> {
    await this.#backplane.open((event) => this.#received(event), (gap) => this.#lost(gap))
    this.#handed = this.#backplane.newest
  }

  async close (): Promise<void> {
    await this.#backplane.close()
  }

  async publish (topic: string, payload: unknown): Promise<string> {
    return this.#backplane.publish('topic', validTopic(topic), encodePublished(payload, this.#writeData))
  }

  async broadcast (payload: unknown): Promise<string> {
    return this.#backplane.publish('all', '', encodePublished(payload, this.#writeData))
  }

  async sendTo (clientId: string, payload: unknown): Promise<string> {
    return this.#backplane.publish('client', validClientId(clientId), encodePublished(payload, this.#writeData))
  }

  stats (): SSEStats {
    return this[COUNTERS].total()
  }

  get newest (): string {
    return this.#backplane.newest
  }

  get oldestId (): string | null {
    return this.#backplane.oldestId
  }

  read (after: string, limit: number): Page | Promise<Page> {
    return this.#backplane.read(after, limit)
  }

  join (topic: string, cursor: Cursor): void {
    add(this.topics, topic, cursor)
  }

  leave (topic: string, cursor: Cursor): void {
    remove(this.topics, topic, cursor)
  }

  countersOf (request: FastifyRequest): Counters {
    return this[COUNTERS].of(request)
  }

  cursor (stream: EventStream): Cursor {
    return new LogCursor(stream, this, this.newest)
  }

  /** Keeps a stream that is not open yet, so that `drain` knows of it. */
  hold (stream: EventStream): void {
    this.#waiting.add(stream)
    if (this.#draining && !stream.started) stream.closeWith('drain')
  }

  release (stream: EventStream): void {
    this.#waiting.delete(stream)
  }

  opened (stream: EventStream): void {
    stream.counters.opened++
    this.#waiting.delete(stream)
    this.streams.set(stream.id, stream)
    if (stream.clientId !== stream.id) add(this.clients, stream.clientId, stream)
    const { lastEventId } = stream
    if (lastEventId !== null) {
      stream.cursor ??= this.cursor(stream)
      if (isEventId(lastEventId)) stream.counters.resumed++
    }
    // it passed its hooks while the others were ended
    if (this.#draining) setImmediate(() => stream.drain(this.#delay()))
  }

  closed (stream: EventStream, reason: CloseReason): void {
    stream.counters.closed[reason]++
    this.streams.delete(stream.id)
    remove(this.clients, stream.clientId, stream)
  }

  /**
   * Ends all streams, each with the advice to come back after a random time.
   * Resolves when every client has its end or is cut.
   */
  async drain (): Promise<void> {
    this.#draining = true
    this.pending.close()
    const over = Array.from(this.streams.values(), (stream) => stream.drain(this.#delay()))
    for (const stream of this.#waiting) {
      // one that waits for hooks is ended as soon as it is open
      if (stream.started) over.push(stream.over())
      else stream.closeWith('drain')
    }
    await Promise.all(over)
  }

  /** Hands an event to those it is for. Hot path. */
  #received (event: PublishedEvent): void {
    const before = this.#handed
    this.#handed = event.id
    if (event.to === 'topic') {
      for (const cursor of this.topics.get(event.name) ?? NOBODY) cursor.deliver(event)
      return
    }
    if (event.to === 'all') {
      for (const stream of this.streams.values()) this.#reach(stream, event, before)
      return
    }
    for (const stream of this.clients.get(event.name) ?? NOBODY) this.#reach(stream, event, before)
    const stream = this.streams.get(event.name)
    if (stream?.clientId === event.name) this.#reach(stream, event, before)
  }

  /** Nobody knows whom the events were for: all are told who are sent some. */
  #lost (gap: Gap): void {
    this.#handed = gap.through
    for (const stream of this.streams.values()) {
      if (stream.clientId !== stream.id) stream.cursor ??= this.cursor(stream)
      stream.cursor?.lost(gap)
    }
  }

  #reach (stream: EventStream, event: PublishedEvent, before: string): void {
    // one that is not greeted yet is to read the event later
    stream.cursor ??= new LogCursor(stream, this, before)
    stream.cursor.deliver(event)
  }

  #delay (): number {
    // not at once: EventSource tries again and again at that pace while nothing listens
    return Math.ceil(this.#spread * (0.2 + 0.8 * Math.random()))
  }
}

const NOBODY: readonly never[] = []

function add<Member> (lists: Map<string, Set<Member>>, name: string, member: Member): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, new Set([member]))
  else list.add(member)
}

function remove<Member> (lists: Map<string, Set<Member>>, name: string, member: Member): void {
  const list = lists.get(name)
  if (list?.delete(member) && list.size === 0) lists.delete(name)
}
