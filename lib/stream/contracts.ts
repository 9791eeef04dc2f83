// Tested by test/stream/event-stream.test.ts
import type { FastifyRequest } from 'fastify'
import type { Gap, PublishedEvent } from '../backplane.js'
import type { StreamEnd } from '../diagnostics.js'
import type { RouteStats } from '../stats.js'
import type { TimerLists } from '../timer-list.js'
import type { SSEGap } from '../backplane.js'
import type { FlushQueue } from './flush-queue.js'

/** The part of a plugin that its event streams call, for example when they open and close. Each plugin has one: its `StreamRegistry` implements this interface. */
export interface StreamHost<Stream> {
  readonly timers: TimerLists
  readonly flushQueue: FlushQueue
  statsOf (request: FastifyRequest): RouteStats
  /** Called by a stream whose response is not open yet. Registers the stream, so that a shutdown closes it as well. */
  addPending (stream: Stream): void
  /** Called by a stream when its response has closed. If the response never opened, removes the stream from the pending streams. */
  removePending (stream: Stream): void
  onOpen (stream: Stream): void
  onClose (stream: Stream, end: StreamEnd): void
  /** Makes `app.close()` wait for `work`, the promise of a callback or source of the application that still runs. Undefined: nothing to wait for. `work` never rejects. */
  waitFor (work: Promise<unknown> | undefined): void
  /**
   * Creates a stream's subscription to the log of published events.
   * @param from id of the event after which delivery starts if the client sent no id of that log; default: the newest event
   */
  createSubscription (stream: Stream, from?: string): Subscription
}

/** The route or reply that declares a stream. The stream calls each method at most once, in the async context (AsyncLocalStorage) of its request. */
export interface StreamOwner<Stream> {
  /** Called by the stream when its response is open. The owner then calls the application's `onConnect` and, once that has settled, `stream.startDelivery()`. */
  onOpen (stream: Stream): void
  /** Called by the stream when it has closed, if it was open. The owner then calls `onDisconnect`. @returns a promise that resolves once `onDisconnect` has settled */
  onClose (stream: Stream): Promise<unknown> | undefined
  /**
   * Resolves to the encoded event to send in place of an event `gap`; undefined: the event `gap`; `''`: nothing. Never rejects: if the
   * application fails, aborts the stream. Undefined if the application has no callback for gaps (option `onGap`).
   */
  readonly onGap?: ((gap: SSEGap, stream: Stream) => Promise<string | undefined>) | undefined
}

/** Writes events to a stream until the stream closes: an interval (regular calls of the route's `payload`) or a source (an iterable of the application). */
export interface Producer<Stream> {
  /** Called by the stream when it closes. @returns a promise that resolves once the source has finished; undefined: nothing to wait for */
  stop (stream: Stream): Promise<void> | undefined
}

/** One stream's topics, and its position in the log of published events (the id of the newest event that the stream has sent or skipped). */
export interface Subscription {
  /** Whether the application may set ids of events that it sends on this stream. False once the stream has had a topic. */
  readonly allowsCustomIds: boolean
  /** Whether event ids of this stream are ids of the log of published events. When the client reconnects, it can then send an id after which the replay starts. */
  readonly usesLogIds: boolean
  readonly topics: ReadonlySet<string>
  /**
   * Adds topics to the stream.
   * @param topics valid names: the caller has checked them
   * @param rewind number of retained events of each topic that a client without an id is sent first; default: none
   */
  subscribe (topics: ReadonlySet<string>, rewind?: number): void
  unsubscribe (topics: readonly string[]): void
  /**
   * Replays the events that the client missed: reads them from the log and writes them. Then delivery is live: each new event is written when it is published.
   * @returns null if the client missed nothing, otherwise a promise that resolves when delivery is live, or the stream has closed
   */
  startDelivery (): Promise<void> | null
  /**
   * Called for each published event for this stream. Writes the event if delivery is live. Before that the replay reads the event from the log. Hot path.
   * @param before id of the entry of the log before the event
   */
  deliver (event: PublishedEvent, before: string): void
  /** Called when the log has lost events before this process received them. Sends the client a `gap` event, because some of these events may be for this stream. */
  onGap (gap: Gap): void
  /** Returns an `id:` line with the id of the newest event that the stream has sent or skipped. The caller must write the line. Called only if `usesLogIds`. */
  takeIdLine (): string
  /** Returns an `id:` line and a blank line, to write as a heartbeat. Returns `''` if the client has this id already, or `usesLogIds` is false. */
  takeHeartbeat (): string
  /** Called when events were dropped because the client was behind, and it has caught up. Sends a `gap` event, which says that events are missing. */
  onDropped (): void
  /** Called when the stream has written an event whose `id` the application set. From then on published events are sent without ids. */
  customIdSent (id: string): void
  close (): void
}
