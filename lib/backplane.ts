// Tested by test/pubsub/backplane.test.ts
import type { FastifyBaseLogger } from 'fastify'

/** Who receives a published event: the streams of a topic, the streams of a client id, or all streams. */
export type Audience = 'topic' | 'client' | 'all'

/** An event in the log. */
export interface PublishedEvent {
  readonly id: string
  readonly to: Audience
  /** The topic or the client id; `''` for all. */
  readonly name: string
  /** The encoded event without an `id:` line, as it was published. */
  readonly frame: string
  /** The same with its `id:` line, which is the first: `id: ${id}\n${frame}`. Streams share it. */
  readonly text: string
  /** When this process received it, on the clock of `performance.now()`, ms. */
  readonly time: number
}

/** The events that are missing between a position and the events that follow it. */
export interface Gap {
  /** Id of the oldest event that the log still has; null for none. */
  readonly oldestId: string | null
  /** Id of the newest missing event: the position to continue from. */
  readonly lastMissedId: string
}

/** Consecutive events of the log. */
export interface Page {
  /** What is missing before `events`; null for nothing. */
  readonly gap: Gap | null
  /** Oldest first. */
  readonly events: readonly PublishedEvent[]
}

/** How much of the log is retained. */
export interface HistorySettings {
  /** Number of events. */
  size: number
  /** Age, ms; 0: no limit. */
  maxAge: number
}

/** Functions that a backplane calls with the events of the log. They do not throw. */
export interface BackplaneListener {
  /** Called once for each event that is published after `open()`, in the order of the log. */
  readonly onEvent: (event: PublishedEvent) => void
  /**
   * Called where the log has lost events before this process received them. `newest` is `gap.lastMissedId` from then on,
   * and the next event follows it.
   */
  readonly onGap: (gap: Gap) => void
}

/**
 * The log of published events, which all processes of an application share.
 * The suite in `test/backplane-suite.ts` tests each of these promises.
 */
export interface Backplane {
  /** Position of the newest event that was received; before the first one, the end of the log when it was opened. */
  readonly newest: string
  /** Id of the oldest event that can be read, as far as this process knows; null for none. */
  readonly oldestId: string | null
  /** Connects to the log. Resolves once every event that is published from then on will reach the listener. */
  open (listener: BackplaneListener): Promise<void>
  /**
   * Appends an event. Returns its id, or a promise of it, once the log has it.
   * @param name the topic or client id, `''` for all
   * @param frame the encoded event, without an `id:` line
   * @throws SSE_ERR_CLOSING after `close()`
   */
  publish (to: Audience, name: string, frame: string): Promise<string> | string
  /**
   * Returns up to `limit` events after the position `after`, which has the form of an id. `gap` is set where events
   * are missing between `after` and the first of them, because the log does not reach back that far or never had
   * `after`. No event is newer than `newest`, because newer ones are still to be received.
   */
  read (after: string, limit: number): Page | Promise<Page>
  close (): Promise<void>
}

/** Creates a backplane that retains as much as `history` says; the plugin opens it at `register`. `log` is the app's. */
export type BackplaneFactory = (history: HistorySettings, log: FastifyBaseLogger) => Backplane
