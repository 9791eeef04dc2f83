// Tested by test/pubsub/backplane.test.ts
import type { FastifyBaseLogger } from 'fastify'

/** The kind of streams that a published event is for: the streams of a topic, the streams of a client id, or all streams. */
export type Audience = 'topic' | 'client' | 'all'

/** One event in the log of published events. */
export interface PublishedEvent {
  readonly id: string
  readonly to: Audience
  /** The topic or the client id that the event is for; `''` if it is for all streams. */
  readonly name: string
  /** The text of the event in event stream format, without an `id:` line. It is the `frame` that `publish()` got. */
  readonly frame: string
  /** The text of the event with an `id:` line as its first line: `id: ${id}\n${frame}`. All streams share this string. */
  readonly text: string
  /** Time at which this process received the event, on the clock of `performance.now()`, ms. */
  readonly time: number
}

/** Describes events that are missing in the log, because the log no longer has them or lost them. */
export interface Gap {
  /** Id of the oldest event that the log still has; null if it has none. */
  readonly oldestId: string | null
  /** Id of the newest missing event. To continue, read the events after this id. */
  readonly lastMissedId: string
}

/** The result of a read: consecutive events of the log. */
export interface Page {
  /** Describes the events that are missing before `events`. Null if none is missing. */
  readonly gap: Gap | null
  /** The events that were read, oldest first. */
  readonly events: readonly PublishedEvent[]
}

/** The limits for the events that the log keeps for replays to reconnecting clients. */
export interface HistorySettings {
  /** Number of newest events that the log keeps; 0: none. */
  size: number
  /** Age from which an event is no longer kept, ms; 0: no limit. */
  maxAge: number
}

/** The functions that the plugin passes to `open()` of a backplane. The backplane calls them with the events of the log. The functions do not throw. */
export interface BackplaneListener {
  /** Called by the backplane once for each event that any process publishes after `open()`, in the order of the log. */
  readonly onEvent: (event: PublishedEvent) => void
  /**
   * Called by the backplane, between events, if the log has lost events before this process received them. At the time of the call the
   * backplane's `newest` is `gap.lastMissedId`. The next event is newer than that id.
   */
  readonly onGap: (gap: Gap) => void
}

/**
 * The log of published events, which all processes of an application share. If you write a backplane, it has to do everything that
 * these comments say. The suite in `test/backplane-suite.ts` tests that.
 */
export interface Backplane {
  /** Id of the newest event that this process received. Before the first one: the id at which the log ended when it was opened. */
  readonly newest: string
  /** Id of the oldest event that `read()` can return, as far as this process knows; null if there is none. */
  readonly oldestId: string | null
  /** Called once by the plugin. Connects to the log. Resolves once `listener` will get every event that is published from then on. */
  open (listener: BackplaneListener): Promise<void>
  /**
   * Appends an event to the log. Returns the event's id if the log has the event already, otherwise a promise that resolves to the id once it has.
   * @param name the topic or client id that the event is for; `''` if `to` is `'all'`
   * @param frame the text of the event in event stream format, without an `id:` line
   * @throws SSE_ERR_CLOSING after `close()`
   */
  publish (to: Audience, name: string, frame: string): Promise<string> | string
  /**
   * Returns up to `limit` events that are newer than `after`, which has the form of an event id. `gap` is set if events may be missing
   * between `after` and the first returned event, because the log does not reach back that far or never had `after`. No returned event is
   * newer than `newest`, because the listener will get newer events.
   */
  read (after: string, limit: number): Page | Promise<Page>
  close (): Promise<void>
}

/** Creates a backplane that keeps as many events as `history` says. Called by the plugin at `register`. The plugin then opens it. `log` is the logger of the app. */
export type BackplaneFactory = (history: HistorySettings, log: FastifyBaseLogger) => Backplane
