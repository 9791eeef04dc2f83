// Tested by test/types/client.tst.ts
import type { SSEError } from './errors.js'

/** The data of a `gap` event: some events are missing, because the log no longer reaches back to this client's last event. */
export interface SSEGap {
  /** The id of the last event before the gap; null for none. */
  lastEventId: string | null
  /** The id of the oldest event that the log still has; null for none. */
  oldestId: string | null
}

/** One of `Events`, a map from event names to data, such as `EventsOf` makes. `event` discriminates the type of `data`. */
export type SSEEvent<Events> = {
  [Name in keyof Events & string]: {
    /** The id of this event; undefined for none. */
    id: string | undefined
    event: Name
    data: Events[Name]
  }
}[keyof Events & string]

/** `Events` with `gap` added, unless they declare it. */
export type WithGap<Events> = 'gap' extends keyof Events ? Events : Events & { gap: SSEGap }

/** `Events` with text as the data of each. */
export type AsText<Events> = { [Name in keyof Events]: string }

/** An event as it was received. */
export interface SSEMessage {
  /** The id of this event; undefined for none. */
  id: string | undefined
  /** The name of the event, by default `message`. */
  event: string
  data: string
}

/** The events of a server. Can be iterated once. */
export interface SSEEvents<Events> extends AsyncIterableIterator<SSEEvent<Events>, undefined> {
  /** Id of the last event that was yielded or handled, initially the option `lastEventId`: pass it as that option to resume. Null for none. */
  readonly lastEventId: string | null
}

/** The names of the events whose data is text. */
type TextOf<Events> = { [Name in keyof Events & string]: Events[Name] extends string ? Name : never }[keyof Events & string]

/** The events whose data is text. The server does not tell text from JSON. */
export interface TextOption {
  /** Names of events whose data is text and not JSON; `true` for all events. */
  text?: true | readonly string[]
}

type Text<Events> = string extends keyof Events
  ? TextOption
  : [TextOf<Events>] extends [never] ? { text?: never } : { text: ReadonlyArray<TextOf<Events>> }

/** Delays and number of reconnect attempts. */
export interface SSERetry {
  /** Upper bound of the random first delay, ms. It doubles with each attempt that fails. Default 1000. */
  delay?: number
  /** The greatest upper bound, ms, at most 2^31 - 1. Default 30000. */
  maxDelay?: number
  /** Number of consecutive attempts that may fail before the client gives up. Default: no limit. */
  maxRetries?: number
}

/** Options of the request, as `fetch` takes them, and of the reconnects. */
export interface SSEClientOptions {
  /** HTTP method. Default GET. */
  method?: string
  /** Body of the request, not for GET. Sent with each attempt, so a stream is refused if there may be several. */
  body?: RequestInit['body']
  /** Headers, or a function that returns them for each attempt; the first is 1. If it throws, the attempt fails. */
  headers?: RequestInit['headers'] | ((attempt: number) => RequestInit['headers'] | Promise<RequestInit['headers']>)
  /** As in `fetch`. Default `'same-origin'`. */
  credentials?: RequestInit['credentials']
  /** Ends the loop: a pending `next()` rejects with the signal's reason. */
  signal?: AbortSignal
  /** The id to resume after. */
  lastEventId?: string | null
  /** Replaces the global `fetch`. The bodies of its responses have to be a ReadableStream. */
  fetch?: (url: string | URL, init: RequestInit) => Promise<Response>
  /** Data that ends the loop, such as `'[DONE]'`, in any event. That event is not yielded. */
  end?: string
  /** Reconnects after a clean end and after a failure. Default: true for GET only, because the server would carry out another request twice. */
  reconnect?: boolean
  /** Delays and number of reconnect attempts. */
  retry?: SSERetry
  /**
   * Decides whether the client tries again after a failure; `attempt` is the number of the attempt that failed, 1 for the
   * first. `undefined` keeps the default: a GET is repeated after a connection failure, an inactivity timeout, 429 and 5xx.
   * Not called after a clean end, nor once `retry.maxRetries` is reached.
   */
  shouldRetry?: (error: SSEError, attempt: number) => boolean | undefined | void | Promise<boolean | undefined | void>
  /**
   * Closes the connection after so many ms without a byte; to be longer than the server's `heartbeat`. 0, or more than
   * 2^31 - 1: never. Default 45000. Starts with the response, or with the request if `reconnect` is on.
   */
  inactivityTimeout?: number
  /** Called when a stream has opened, and awaited before its first event. */
  onOpen?: (open: { response: Response, attempt: number, lastEventId: string | null }) => unknown
  /** Called when the stream has ended or failed, `delay` ms before the next attempt. `error` is undefined after a clean end. */
  onRetry?: (retry: { delay: number, attempt: number, error: SSEError | undefined }) => unknown
  /** Called for a `gap` event, which is not yielded then: events are missing. Awaited before the next event. */
  onGap?: (gap: SSEGap) => unknown
  /**
   * Called for an event with data that is not JSON and that is not in `text`; the event is not yielded. Awaited before the
   * next event. Without this function the loop rejects with SSE_ERR_DATA.
   */
  onInvalid?: (event: SSEMessage) => unknown
}

/** The option for the events that are yielded. */
export interface EventsOption<Name extends string> {
  /** Names of the events that are yielded; others are ignored. Default: all. `onGap` is called for a `gap` in any case. */
  events?: readonly Name[]
}

type OptionsFor<Events> = SSEClientOptions & EventsOption<keyof WithGap<Events> & string>

/** The options for `Events`. `text` is required if the data of some of them is text. */
export type SSEClientOptionsFor<Events> = OptionsFor<Events> & Text<Events>

/** The options for `Events` that make all data text. */
export type AsTextOptionsFor<Events> = OptionsFor<Events> & { text: true }

/** Options with `onGap`, whose loop yields no event `gap`. */
export type GivenOnGap = Required<Pick<SSEClientOptions, 'onGap'>>

export type SSEClientArguments<Events> =
  {} extends SSEClientOptionsFor<Events> ? [options?: SSEClientOptionsFor<Events>] : [options: SSEClientOptionsFor<Events>]
