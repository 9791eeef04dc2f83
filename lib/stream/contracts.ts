// Tested by test/stream/event-stream.test.ts
import type { FastifyRequest } from 'fastify'
import type { Gap, PublishedEvent } from '../backplane.js'
import type { StreamEnd } from '../diagnostics.js'
import type { RouteStats } from '../stats.js'
import type { TimerLists } from '../timer-list.js'
import type { FlushQueue } from './flush-queue.js'

/** The parts of the plugin that its streams call. One per plugin: its registry of streams implements it. */
export interface StreamHost<Stream> {
  readonly timers: TimerLists
  readonly flushQueue: FlushQueue
  statsOf (request: FastifyRequest): RouteStats
  /** Registers a stream whose response is not open yet, so that a shutdown closes it as well. */
  addPending (stream: Stream): void
  /** Called by a stream when its response has closed. Forgets the stream if it was pending (its response never opened). */
  removePending (stream: Stream): void
  onOpen (stream: Stream): void
  onClose (stream: Stream, end: StreamEnd): void
  /** Makes `app.close()` wait for `work`: a callback or source of the application that still runs (undefined: none). Never rejects. */
  waitFor (work: Promise<unknown> | undefined): void
  /**
   * Creates the subscription of a stream to the log of published events.
   * @param from id of the event to start after if the client sent no id of that log; default: the newest event
   */
  createSubscription (stream: Stream, from?: string): Subscription
}

/** The route or reply that declares a stream. The stream calls each method at most once, in the async context of its request. */
export interface StreamOwner<Stream> {
  /** Called by the stream when its response is open. The owner then calls `onConnect`, and `stream.startDelivery()` once that has settled. */
  onOpen (stream: Stream): void
  /** Called by the stream when it has closed, if it was open. The owner calls `onDisconnect`. @returns a promise that resolves once that has settled */
  onClose (stream: Stream): Promise<unknown> | undefined
}

/** An interval or a source (an iterable of the application) that writes events to a stream until the stream closes. */
export interface Producer<Stream> {
  /** Called by the stream when it closes. @returns a promise that resolves once the source has finished; undefined: nothing to wait for */
  stop (stream: Stream): Promise<void> | undefined
}

/** One stream's topics, and its position in the log of published events: the id of the last event that it has passed. */
export interface Subscription {
  /** Whether the application may set ids of events that it sends on this stream. False from the stream's first topic on. */
  readonly allowsCustomIds: boolean
  /** Whether event ids of this stream are ids of the log of published events, so that the client can send one when it reconnects. */
  readonly usesLogIds: boolean
  /** Adds topics to the stream. @param topics valid names: the caller has checked them */
  subscribe (topics: ReadonlySet<string>): void
  unsubscribe (topics: readonly string[]): void
  /**
   * Replays the events that the client missed (reads them from the log), then delivers each new event when it is published: live.
   * @returns null if nothing was missed, otherwise a promise that resolves when delivery is live, or the stream has closed
   */
  startDelivery (): Promise<void> | null
  /** Writes a published event to the stream. Does nothing before live delivery, because the replay will read the event. Hot path. */
  deliver (event: PublishedEvent): void
  /** Called when the log has lost events before this process received them. Sends a `gap` event, because some may be for this stream. */
  onGap (gap: Gap): void
  /** Returns an `id:` line with the id of the newest event that the stream has passed. The caller must write it. Only if `usesLogIds`. */
  takeIdLine (): string
  /** Returns an `id:` line and a blank line, to write as a heartbeat; `''` if the client has this id already, or no id of the log. */
  takeHeartbeat (): string
  /** Returns an encoded `gap` event, which says that events are missing. The caller must write it, because it also gives the client the newest id. */
  takeGapEvent (): string
  /** Called when the stream has written an event with `id`, which the application set. Later published events are sent without ids. */
  customIdSent (id: string): void
  close (): void
}
