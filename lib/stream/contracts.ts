// Tested by test/stream/event-stream.test.ts
import type { FastifyRequest } from 'fastify'
import type { Gap, PublishedEvent } from '../backplane.js'
import type { StreamEnd } from '../diagnostics.js'
import type { RouteStats } from '../stats.js'
import type { TimerLists } from '../timer-list.js'
import type { FlushQueue } from './flush-queue.js'

/** The plugin as its streams know it. */
export interface StreamHost<Stream> {
  readonly timers: TimerLists
  readonly flushQueue: FlushQueue
  statsOf (request: FastifyRequest): RouteStats
  /** Registers a stream whose response is not open yet. */
  addPending (stream: Stream): void
  /** Removes a stream that will not open. */
  removePending (stream: Stream): void
  onOpen (stream: Stream): void
  onClose (stream: Stream, end: StreamEnd): void
  /** Makes `app.close()` wait for work of the application. The promise never rejects. */
  waitFor (work: Promise<unknown> | undefined): void
  /** @param from the position in the log of a stream whose client sent no id of the log; default: the newest event */
  createSubscription (stream: Stream, from?: string): Subscription
}

/** The declaration of a stream. Each method is called at most once per stream, in the async context of its request. */
export interface StreamOwner<Stream> {
  /** The response is open. The owner calls `stream.startDelivery()` once `onConnect` has settled. */
  onOpen (stream: Stream): void
  /** The stream has closed. The promise resolves once `onDisconnect` has settled. */
  onClose (stream: Stream): Promise<unknown> | undefined
}

/** An interval or a source that writes to a stream until the stream closes. */
export interface Producer<Stream> {
  /** The promise resolves once the producer has finished; undefined if there is nothing to wait for. */
  stop (stream: Stream): Promise<void> | undefined
}

/** One stream's topics and its position in the log. */
export interface Subscription {
  /** Whether the stream may send custom ids, because it never had a topic. */
  readonly allowsCustomIds: boolean
  /** Whether the id that the client holds is one of the log. */
  readonly usesLogIds: boolean
  /** @param topics valid ones */
  subscribe (topics: ReadonlySet<string>): void
  unsubscribe (topics: readonly string[]): void
  /**
   * Replays missed events, then starts live delivery.
   * @returns null if delivery is live at once, otherwise a promise that resolves when it is, or when the stream has closed
   */
  startDelivery (): Promise<void> | null
  /** Delivers a published event, unless it will be replayed. Hot path. */
  deliver (event: PublishedEvent): void
  /** The log has lost events that the stream might have been sent. */
  onGap (gap: Gap): void
  /** The `id:` line with the current position, which the client holds from then on. Only where `usesLogIds`. */
  takeIdLine (): string
  /** The same with a blank line, for a heartbeat; `''` if the client holds that id already, or no id of the log. */
  takeHeartbeat (): string
  /** The `gap` event for events that were dropped, which also brings the client's id up to date. */
  takeGapEvent (): string
  /** The stream has sent a custom id. */
  customIdSent (id: string): void
  close (): void
}
