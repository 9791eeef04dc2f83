// Tested by test/integration/connections.test.ts
import type { Batch } from './batch.js'

/** The destination of one event stream's bytes: a socket or a Node stream. Also reports whether the client is behind (backpressure). */
export interface Sink {
  /** Writes a batch of encoded events. Hot path. @returns false if the client is behind; `onceDrained` then reports when the client has caught up */
  write (batch: Batch): boolean
  /** Whether the response was ended or destroyed, by the plugin or other code. Nothing may be written then. */
  readonly ended: boolean
  /** Number of bytes that were written but are still in this process, because the client is behind. */
  readonly buffered: number
  /** Calls `callback` once, when none of the written bytes is in this process any more. Called after `write` returned false. */
  onceDrained (callback: () => void): void
  /** Calls `onStall` if the client takes no byte for `ms` milliseconds, until it is called with 0. Always called with the same `onStall`. */
  watchStall (ms: number, onStall: () => void): void
  /** Ends the response. @returns true if the operating system has all of its bytes already */
  end (): boolean
  /** Sends the bytes that were written, then aborts the response, so that the client sees a failure and not a regular end. */
  abort (): void
}
