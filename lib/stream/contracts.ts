import type { FastifyRequest } from 'fastify'
import type { Gap, PublishedEvent } from '../backplane.js'
import type { RouteStats } from '../stats.js'
import type { StreamEnd } from '../diagnostics.js'
import type { TimerLists } from '../timer-list.js'

/** The plugin, as far as one of its streams knows it. */
export interface StreamHost<Stream> {
  readonly timers: TimerLists
  statsOf (request: FastifyRequest): RouteStats
  /** The stream is started, and has to wait before it is open. */
  addPending (stream: Stream): void
  /** The stream will not open. */
  removePending (stream: Stream): void
  opened (stream: Stream): void
  closed (stream: Stream, end: StreamEnd): void
  /** Has `app.close()` wait for work of the application's, which never rejects. */
  waitFor (work: Promise<unknown> | undefined): void
  /** Gives the stream its place in the log. */
  createSubscription (stream: Stream): Subscription
}

/** The declaration of a stream. Each method is called at most once for a stream, in the async context of its request. */
export interface StreamOwner<Stream> {
  /** The stream is open: has it `begin` once its client is greeted. */
  opened (stream: Stream): void
  /** The stream has closed. Resolves once the application's callback has settled. */
  closed (stream: Stream): Promise<unknown> | undefined
}

/** An interval or a source that writes to a stream until that closes. */
export interface Producer<Stream> {
  /** Resolves once it has finished; undefined where there is nothing to wait for. */
  stop (stream: Stream): Promise<void> | undefined
}

/** Where in the log of published events a stream is. */
export interface Subscription {
  /** Whether the stream may send ids of its own, since it was subscribed to no topic. */
  readonly allowsCustomIds: boolean
  /** Whether the ids that the client holds are the log's. */
  readonly usesLogIds: boolean
  /** @param topics valid */
  subscribe (topics: ReadonlySet<string>): void
  unsubscribe (topics: readonly string[]): void
  /** Reads what was missed, then goes live; null where it is live at once, otherwise it resolves then, or when the stream is closed. */
  startDelivery (): Promise<void> | null
  /** An event is published. Hot path. */
  deliver (event: PublishedEvent): void
  /** The log has lost events that the stream may have been sent. */
  lost (takeGapEvent: Gap): void
  /** Text goes out at a time; see `Sender`. */
  wrote (time: number): void
  /** The `id:` line that brings the client's id up to date. Only while its ids are the log's. */
  takeIdLine (): string
  /** The same with its blank line, for a heartbeat; `''` where its ids are not the log's, or the client holds that id already. */
  takeHeartbeat (): string
  /** The event that tells of events that were left out. */
  gap (): string
  /** An id of the application's own was sent. */
  customIdSent (id: string): void
  close (): void
}
