// Tested by test/pubsub/backplane.test.ts
import type { FastifyBaseLogger } from 'fastify'
import type { RunStore } from './runs/store.js'

/** The kind of streams that a published event is for: the streams of topics, the streams of a client id, or all streams. */
export type Audience = 'topic' | 'client' | 'all'

/** The limits for the events of one topic that the log keeps for replays to reconnecting clients. */
export interface TopicHistory {
  /** Number of newest events that the log keeps; 0: none. */
  readonly size: number
  /** Age from which an event is no longer kept, ms; 0: no limit. */
  readonly maxAge: number
}

/** The limits for the events that the log keeps. `size` and `maxAge` apply to each topic, each client id and the broadcasts. */
export interface HistorySettings extends TopicHistory {
  /** Memory that all kept events may take, bytes. Above it the oldest events are dropped, whatever their topic. */
  readonly maxBytes: number
}

/** An event that a publisher appends to the log. */
export interface Publication {
  readonly to: Audience
  /** The topics that the event is for, each once; or one client id; empty if the event is for all streams. */
  readonly names: readonly string[]
  /** Client id whose streams do not get the event. Null: no exception. */
  readonly except: string | null
  /** The limits of each topic in `names` that has limits in its definition, otherwise null. Null in place of the array: no topic has. */
  readonly limits: ReadonlyArray<TopicHistory | null> | null
  /** The text of the event in event stream format, without an `id:` line. */
  readonly frame: string
}

/** One event in the log of published events. */
export interface PublishedEvent extends Publication {
  readonly id: string
  /** The text of the event with an `id:` line as its first line: `id: ${id}\n${frame}`. All streams share this string. */
  readonly text: string
  /** Time at which this process received the event, on the clock of `performance.now()`, ms. */
  readonly time: number
}

/** A message to all processes about the streams of a client id. It has a place in the log, so that it follows earlier events, but it is never replayed. */
export interface Control {
  /** `'close'`: end the streams of the client id; `'unsubscribe'`: remove a topic from them. */
  readonly action: 'close' | 'unsubscribe'
  readonly clientId: string
  /** The topic to remove; `''` if `action` is `'close'`. */
  readonly topic: string
}

/** Describes events that are missing in the log, because the log no longer has them or lost them. */
export interface Gap {
  /** Id of the oldest event that the log still has; null if it has none. */
  readonly oldestId: string | null
  /** Id of the newest missing event. To continue, read the events after this id. */
  readonly lastMissedId: string
}

/** The data of an event `gap`, which says that events are lost. */
export interface SSEGap {
  /** The last id that the client has; null if it has none. */
  lastEventId: string | null
  /** The id of the oldest event that is retained; null if there is none. */
  oldestId: string | null
}

/** The positions at which a reader without an id starts. The result of a rewind. */
export interface StartPositions {
  /** For each topic the id after which its events are read. */
  readonly topics: ReadonlyMap<string, string>
  /** The id after which the events of the client id and the broadcasts are read. */
  readonly others: string
}

/** The stream that a page is read for. It gets the events of its topics and of its client id, and all broadcasts. */
export interface Reader {
  readonly topics: ReadonlySet<string>
  readonly clientId: string
  /** The positions of a rewind. They apply where they are later than the position of the read. Null: the reader starts after an id that its client sent. */
  readonly from: StartPositions | null
  /** Returns whether the stream has closed. The backplane may then return an empty page without a read. Undefined: the stream stays open. */
  readonly isClosed?: () => boolean
}

/** The result of a read: the next events of the log for one reader. */
export interface Page {
  /** Describes events for the reader that are missing before `events`. Null if none is missing. */
  readonly gap: Gap | null
  /** The events that were read, in the order of the log. All are newer than `gap.lastMissedId`. */
  readonly events: readonly PublishedEvent[]
  /** The id up to which the reader now has everything. The next page is read after this id. */
  readonly position: string
}

/** The functions that the plugin passes to `open()` of a backplane. The backplane calls them in the order of the log. The functions do not throw. */
export interface BackplaneListener {
  /** Called by the backplane once for each event that any process publishes after `open()`. */
  readonly onEvent: (event: PublishedEvent) => void
  /** Called by the backplane once for each control message that any process appends after `open()`. */
  readonly onControl: (control: Control) => void
  /**
   * Called by the backplane, between events, if the log has lost events before this process received them. At the time of the call the
   * backplane's `newest` is `gap.lastMissedId`. The next event is newer than that id.
   */
  readonly onGap: (gap: Gap) => void
}

/**
 * The log of published events, which all processes of an application share. If you write a backplane, it has to do everything that
 * these comments say. The suite `fastify-sse-routes/testing/backplane` tests that.
 */
export interface Backplane {
  /** Id of the newest entry (event or control message) that this process received. Before the first one: the id at which the log ended when it was opened. */
  readonly newest: string
  /** Id of the oldest event that `read()` can return, as far as this process knows; null if there is none. */
  readonly oldestId: string | null
  /** Keeps the runs of resumable sources for all processes. Undefined: each process keeps its runs in memory. The plugin closes it before the backplane. */
  readonly runs?: RunStore
  /** Called once by the plugin. Connects to the log. Resolves once `listener` will get every entry that is appended from then on. */
  open (listener: BackplaneListener): Promise<void>
  /**
   * Appends an event to the log. Returns the event's id if the log has the event already, otherwise a promise that resolves to the id once it has.
   * @throws SSE_ERR_CLOSING after `close()`
   */
  publish (publication: Publication): Promise<string> | string
  /** Appends a control message to the log. Returns its id as `publish` does. @throws SSE_ERR_CLOSING after `close()` */
  control (control: Control): Promise<string> | string
  /**
   * Reads the next events for one reader: up to `limit` events that are newer than `after`, which has the form of an event id.
   *
   * A loss is exact and in its place. `gap` is set if an event for the reader may be missing between `after` and the first returned
   * event, because the log has dropped it or cannot know it: `after` is older than the log, was never an id of the log, or the
   * events of a topic of the reader have all been dropped. A page whose events are older than a loss ends before it: the next page
   * then begins with the gap.
   *
   * No returned event is newer than `newest`, because the listener gets newer events.
   */
  read (after: string, reader: Reader, limit: number): Page | Promise<Page>
  /** Returns the positions at which the newest `count` kept events of each topic follow. @param count above 0; Infinity: all kept events */
  rewind (topics: ReadonlySet<string>, count: number): StartPositions | Promise<StartPositions>
  close (): Promise<void>
}

/** Creates a backplane that keeps as many events as `history` says. Called by the plugin at `register`. The plugin then opens it. `log` is the logger of the app. */
export type BackplaneFactory = (history: HistorySettings, log: FastifyBaseLogger) => Backplane
