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

/** The events as they come. It can be iterated once. */
export type SSEEvents<Events> = AsyncIterableIterator<SSEEvent<Events>, undefined>

/** The names of the events whose data is text. */
type TextOf<Events> = { [Name in keyof Events & string]: Events[Name] extends string ? Name : never }[keyof Events & string]

/** Which data is text, and not JSON: nothing in what is sent says so. */
type Text<Events> = string extends keyof Events
  ? { text?: true | readonly string[] }
  : [TextOf<Events>] extends [never] ? { text?: never } : { text: ReadonlyArray<TextOf<Events>> }

/** How to come back. */
export interface SSERetry {
  /** The first delay is a random time of up to so many ms; it doubles with each attempt that fails. Default 1000. */
  delay?: number
  /** The longest that it becomes, ms. Default 30000. */
  maxDelay?: number
  /** How many attempts to come back may fail, one after the other. Default: no limit. */
  tries?: number
}

/** As `fetch`'s, and how to come back. */
export interface SSEClientOptions {
  /** Default GET. */
  method?: string
  /** Sent again with each attempt, so not a stream where there may be several. */
  body?: RequestInit['body']
  /** Or a function that gives them for each attempt, of which 1 is the first; if it fails, so does the attempt. */
  headers?: RequestInit['headers'] | ((attempt: number) => RequestInit['headers'] | Promise<RequestInit['headers']>)
  /** Default `'same-origin'`. */
  credentials?: RequestInit['credentials']
  /** Ends it: what is awaited rejects with the signal's reason. */
  signal?: AbortSignal
  /** The id of the last event that is known already. */
  lastEventId?: string
  /** Whether to come back, after a clean end as well as after a failure. Default: only a GET does, as others would be done again. */
  reconnect?: boolean
  retry?: SSERetry
  /**
   * After so many ms without a byte the connection counts as dead: more than the server's `heartbeat`. 0: never. Default 45000.
   * It counts from the answer on; where the client comes back, from the request on.
   */
  silence?: number
  /** A stream has begun. Awaited before its first event. */
  onOpen?: (open: { response: Response, attempt: number, lastEventId: string | null }) => unknown
  /** It ended or failed, and the next attempt is made in `delay` ms. `error` is undefined after a clean end. */
  onRetry?: (retry: { delay: number, attempt: number, error: SSEError | undefined }) => unknown
  /** Events are missing: called, and awaited, in the place of the event `gap`, before those that came after it. */
  onGap?: (gap: SSEGap) => unknown
}

/** The options for `Events`: with `text` where the data of some of them is text. */
export type SSEClientOptionsFor<Events> = SSEClientOptions & Text<Events>

export type SSEClientArguments<Events> =
  {} extends SSEClientOptionsFor<Events> ? [options?: SSEClientOptionsFor<Events>] : [options: SSEClientOptionsFor<Events>]
