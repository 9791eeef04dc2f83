import type { SSEError } from './errors.js'

/** The data of a `gap`: the log no longer reaches back to what this client has, so some events are missing. */
export interface SSEGap {
  /** The id of the last event before the gap; null where there was none. */
  lastEventId: string | null
  /** The id of the oldest event that the log still has; null for an empty log. */
  oldestId: string | null
}

/** One of `Events`, which are data by name, as `EventsOf` gives them: `event` tells which, and so what `data` is. */
export type SSEEvent<Events> = {
  [Name in keyof Events & string]: {
    /** The event's own; undefined where it has none. */
    id: string | undefined
    event: Name
    data: Events[Name]
  }
}[keyof Events & string]

/** `Events`, and `gap` if they do not have it. */
export type WithGap<Events> = 'gap' extends keyof Events ? Events : Events & { gap: SSEGap }

/** `Events`, each with text for data. */
export type AsText<Events> = { [Name in keyof Events]: string }

/** An event as it came. */
export interface SSEMessage {
  /** The event's own; undefined where it has none. */
  id: string | undefined
  /** `message` where it has no name. */
  event: string
  data: string
}

/** The events as they come. It can be iterated once. */
export interface SSEEvents<Events> extends AsyncIterableIterator<SSEEvent<Events>, undefined> {
  /** Id of the last event that was yielded or handled, at first the option `lastEventId`: pass it as that to resume. Null where there is none. */
  readonly lastEventId: string | null
}

/** The names of the events whose data is text. */
type TextOf<Events> = { [Name in keyof Events & string]: Events[Name] extends string ? Name : never }[keyof Events & string]

/** Which data is text, and not JSON: nothing in what is sent says so. */
export interface TextOption {
  text?: true | readonly string[]
}

type Text<Events> = string extends keyof Events
  ? TextOption
  : [TextOf<Events>] extends [never] ? { text?: never } : { text: ReadonlyArray<TextOf<Events>> }

/** Delays and number of the attempts to reconnect. */
export interface SSERetry {
  /** The first delay is a random time of up to so many ms; it doubles with each attempt that fails. Default 1000. */
  delay?: number
  /** The longest that it becomes, ms, at most 2^31 - 1. Default 30000. */
  maxDelay?: number
  /** Number of attempts to reconnect that may fail, one after the other. Default: no limit. */
  maxRetries?: number
}

/** As `fetch`'s, and how to reconnect. */
export interface SSEClientOptions {
  /** Default GET. */
  method?: string
  /** Sent again with each attempt, so not a stream where there may be several. Not with GET. */
  body?: RequestInit['body']
  /** Or a function that gives them for each attempt, of which 1 is the first; if it fails, so does the attempt. */
  headers?: RequestInit['headers'] | ((attempt: number) => RequestInit['headers'] | Promise<RequestInit['headers']>)
  /** Default `'same-origin'`. */
  credentials?: RequestInit['credentials']
  /** Ends it: what is awaited rejects with the signal's reason. */
  signal?: AbortSignal
  /** The id of the last event that is known already. */
  lastEventId?: string | null
  /** Function to use in place of the global `fetch`. It has to give responses whose body is a ReadableStream. */
  fetch?: (url: string | URL, init: RequestInit) => Promise<Response>
  /** Data that ends the loop, such as `'[DONE]'`, of whatever event. That event is not yielded. */
  end?: string
  /** Reconnects after a clean end as well as after a failure. Default: true for GET only, because the server would carry out another request twice. */
  reconnect?: boolean
  retry?: SSERetry
  /**
   * Decides whether there is another attempt after a failure; `attempt` is the number of the one that failed, 1 for the
   * first. `undefined` leaves it to the default: a GET is repeated after a connection failure, an inactivity timeout, 429
   * and 5xx. Not called after a clean end, nor once `retry.maxRetries` is reached.
   */
  shouldRetry?: (error: SSEError, attempt: number) => boolean | undefined | void | Promise<boolean | undefined | void>
  /**
   * After so many ms without a byte the connection counts as dead: more than the server's `heartbeat`. 0, or more than
   * 2^31 - 1: never. Default 45000. It counts from the response on; where the client reconnects, from the request on.
   */
  inactivityTimeout?: number
  /** A stream has begun. Awaited before its first event. */
  onOpen?: (open: { response: Response, attempt: number, lastEventId: string | null }) => unknown
  /** It ended or failed, and the next attempt is made in `delay` ms. `error` is undefined after a clean end. */
  onRetry?: (retry: { delay: number, attempt: number, error: SSEError | undefined }) => unknown
  /** Events are missing: called, and awaited, in the place of the event `gap`, before those that came after it. */
  onGap?: (gap: SSEGap) => unknown
  /**
   * Data is not JSON, of an event that `text` does not name: called, and awaited, in the place of that event. Without it
   * the loop rejects with SSE_ERR_DATA.
   */
  onInvalid?: (event: SSEMessage) => unknown
}

/** Which events are yielded. */
export interface EventsOption<Name extends string> {
  /** The only events that are yielded; others are ignored. Default: all. A `gap` goes to `onGap`, if given, in any case. */
  events?: readonly Name[]
}

type OptionsFor<Events> = SSEClientOptions & EventsOption<keyof WithGap<Events> & string>

/** The options for `Events`: with `text` where the data of some of them is text. */
export type SSEClientOptionsFor<Events> = OptionsFor<Events> & Text<Events>

/** The options for `Events` that make all data text. */
export type AsTextOptionsFor<Events> = OptionsFor<Events> & { text: true }

/** With `onGap` the loop gets no event `gap`. */
export type GivenOnGap = Required<Pick<SSEClientOptions, 'onGap'>>

export type SSEClientArguments<Events> =
  {} extends SSEClientOptionsFor<Events> ? [options?: SSEClientOptionsFor<Events>] : [options: SSEClientOptionsFor<Events>]
