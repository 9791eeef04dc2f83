// Tested by test/types/client.tst.ts
import type { SSEError } from './errors.js'

/** The data of a `gap` event. The server sends this event if the client missed events and the log of published events no longer has them. */
export interface SSEGap {
  /** The id of the last event that this client received before the missing events; null if there is none. */
  lastEventId: string | null
  /** The id of the oldest event that the server's log still has; null if it has none. */
  oldestId: string | null
}

/** One event of `Events`, a map from event names to the types of their data, such as the type `EventsOf`. The value of `event` determines the type of `data`. */
export type SSEEvent<Events> = {
  [Name in keyof Events & string]: {
    /** The id of this event; undefined if it has none. */
    id: string | undefined
    event: Name
    data: Events[Name]
  }
}[keyof Events & string]

/** Adds the event `gap` to `Events`, a map from event names to types of data, unless the map has it already. */
export type WithGap<Events> = 'gap' extends keyof Events ? Events : Events & { gap: SSEGap }

/** Replaces the type of all data by `string` in `Events`, a map from event names to types of data. */
export type AsText<Events> = { [Name in keyof Events]: string }

/** An event as it was received, with its data as text. */
export interface SSEMessage {
  /** The id of this event; undefined if it has none. */
  id: string | undefined
  /** The name of the event; `message` if the server sent none. */
  event: string
  data: string
}

/** The events of a server, as an async iterator. It can be iterated once. */
export interface SSEEvents<Events> extends AsyncIterableIterator<SSEEvent<Events>, undefined> {
  /**
   * The id to pass as the option `lastEventId` to resume: the id of the last event that was yielded or handled. Before the
   * first event, it is the value of the option `lastEventId`. Null if there is no id.
   */
  readonly lastEventId: string | null
}

/** The names of the events in `Events` whose data has a string type. */
type TextOf<Events> = { [Name in keyof Events & string]: Events[Name] extends string ? Name : never }[keyof Events & string]

/** The option that names the events whose data is text. It is needed because the client cannot tell text from JSON. */
export interface TextOption {
  /** Names of the events whose data is text, which is not parsed as JSON; `true` for all events. Default: none. */
  text?: true | readonly string[]
}

type Text<Events> = string extends keyof Events
  ? TextOption
  : [TextOf<Events>] extends [never] ? { text?: never } : { text: ReadonlyArray<TextOf<Events>> }

/** The delays before reconnect attempts, and the number of attempts. */
export interface SSERetry {
  /** The first delay is a random time between 0 and this bound, ms. The bound doubles with each attempt that fails. Default 1000. */
  delay?: number
  /** The bound of the random delay does not grow above this value, ms, at most 2^31 - 1. Default 30000. */
  maxDelay?: number
  /** The number of consecutive attempts that may fail before the client gives up and the loop rejects. Default: no limit. */
  maxRetries?: number
}

/** The options of `sse`: those of the request, in the form that `fetch` takes, and those of the reconnects. */
export interface SSEClientOptions {
  /** The HTTP method of the request. Default GET. */
  method?: string
  /** The body of the request, not for GET. Each attempt sends the body again, so a stream is refused if there may be more than one attempt. */
  body?: RequestInit['body']
  /**
   * The headers of the request, or a function that returns them. The client calls the function before each
   * attempt, with the attempt's number, from 1. If the function throws, the attempt fails.
   */
  headers?: RequestInit['headers'] | ((attempt: number) => RequestInit['headers'] | Promise<RequestInit['headers']>)
  /** The `credentials` of the request, as in `fetch`: whether cookies are sent. Default `'same-origin'`. */
  credentials?: RequestInit['credentials']
  /** A signal that ends the loop when it aborts: a pending `next()` then rejects with the signal's reason. */
  signal?: AbortSignal
  /** The id of the last event that the application has already. The server continues after that event. */
  lastEventId?: string | null
  /** A function that is called instead of the global `fetch`. The bodies of its responses have to be a ReadableStream. */
  fetch?: (url: string | URL, init: RequestInit) => Promise<Response>
  /** The data that ends the loop, such as `'[DONE]'`. The event with this data may have any name and is not yielded. */
  end?: string
  /**
   * Whether the client reconnects after a stream has ended or failed. Default: true for GET, else false, because the
   * server would carry out a request with another method twice.
   */
  reconnect?: boolean
  /** The delays before reconnect attempts, and the number of attempts. */
  retry?: SSERetry
  /**
   * Called after a failure, to decide whether the client tries again. `attempt` is the number of the attempt that failed,
   * 1 for the first. The result `undefined` keeps the default: a GET is repeated after a connection failure, an
   * inactivity timeout, 429 and 5xx. Not called after a stream that ended without an error, nor once `retry.maxRetries`
   * is reached.
   */
  shouldRetry?: (error: SSEError, attempt: number) => boolean | undefined | void | Promise<boolean | undefined | void>
  /**
   * The time without a byte after which the client closes the connection, ms. Set it longer than the server's
   * `heartbeat`. 0, or more than 2^31 - 1, turns the timeout off. Default 45000. The time starts with the response, or
   * with the request if `reconnect` is on.
   */
  inactivityTimeout?: number
  /**
   * A name. All tabs of the origin with the same name and the same URL share one connection. One of them holds it and
   * relays each message to the others. Only for GET. Every tab that passes the name sees the events of every other such
   * tab, so the name should contain the id of the signed-in user.
   *
   * The holder sends the request, so its `headers`, `credentials`, `fetch` and options of reconnects apply, and only
   * its `onOpen`, `onRetry` and `shouldRetry` are called. Each tab filters and parses the events, and calls `onGap` and
   * `onInvalid`. If the server ends the stream for good, or the holder gives up, the loops of all tabs end.
   *
   * When the holder closes, is frozen or enters the back-forward cache, another tab connects with the newest id that was
   * relayed. Events without an id that the server sends during this hand-over are lost.
   *
   * The holder reads the stream without waiting for a loop. Events that a loop has not taken are kept in the memory of
   * its tab.
   *
   * Without Web Locks (which need HTTPS or localhost) or BroadcastChannel, and outside of browsers, the client opens a
   * separate connection.
   */
  share?: string
  /** Called with `share` when this tab begins to hold the shared connection (`holds` is true), and when it reads from another tab's connection (false). */
  onShare?: (share: { holds: boolean }) => unknown
  /** Called when the response has arrived and its event stream is open. The client awaits the result before it yields the first event. */
  onOpen?: (open: { response: Response, attempt: number, lastEventId: string | null }) => unknown
  /** Called after the stream has ended or failed, `delay` ms before the next attempt. `error` is undefined if the stream ended without an error. */
  onRetry?: (retry: { delay: number, attempt: number, error: SSEError | undefined }) => unknown
  /** Called for a `gap` event, which says that this client missed events. That event is not yielded. The client awaits the result before the next event. */
  onGap?: (gap: SSEGap) => unknown
  /**
   * Called for an event whose data is not JSON and whose name is not in `text`. That event is not yielded. The client
   * awaits the result before the next event. Without this function the loop rejects with SSE_ERR_DATA.
   */
  onInvalid?: (event: SSEMessage) => unknown
}

/** The option that selects the events that the loop yields. */
export interface EventsOption<Name extends string> {
  /** Names of the events that the loop yields; other events are ignored. Default: all. `onGap` is called for a `gap` event in any case. */
  events?: readonly Name[]
}

type OptionsFor<Events> = SSEClientOptions & EventsOption<keyof WithGap<Events> & string>

/** The options of `sse` for `Events`, a map from event names to types of data. `text` is required if the data of some events is text. */
export type SSEClientOptionsFor<Events> = OptionsFor<Events> & Text<Events>

/** The options of `sse` for `Events`, a map from event names to types of data, with `text: true`, so that all data is text. */
export type AsTextOptionsFor<Events> = OptionsFor<Events> & { text: true }

/** Options with `onGap`. The client then calls `onGap` for each `gap` event, and the loop does not yield this event. */
export type GivenOnGap = Required<Pick<SSEClientOptions, 'onGap'>>

export type SSEClientArguments<Events> =
  {} extends SSEClientOptionsFor<Events> ? [options?: SSEClientOptionsFor<Events>] : [options: SSEClientOptionsFor<Events>]
