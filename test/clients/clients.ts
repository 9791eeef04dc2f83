import type { Test } from 'tap'

/** One observation of a client: an event, a line of text, or the state of its connection. */
export type Entry =
  | { type: 'open' }
  | { type: 'event', event: string, data: string }
  | { type: 'line', text: string }
  /** An error, after which the client may continue. */
  | { type: 'error' }
  /** The client has ended, and says that it failed or not. */
  | { type: 'over', failed: boolean }

/** A client that has sent its request. */
export interface Running {
  /** All observations until now. */
  entries (): Promise<Entry[]>
}

/** One row of the matrix. */
export interface Client {
  /** The name in the table, such as `curl`. */
  name: string
  version: string
  /** True for a package of Debian, whose version the tests do not set. */
  debian: boolean
  /** Sends the request. The client closes at the end of the test. */
  open (t: Test, url: string): Promise<Running>
}
