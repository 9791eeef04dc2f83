// Tested by test/runs/memory-store.test.ts

/** The state of a run. `lost`: the process that ran its source has died. */
export type RunState = 'running' | 'done' | 'failed' | 'stopped' | 'lost'

/** A run, as `app.sse.run(key)` describes it. */
export interface SSERun {
  readonly key: string
  /** The id of the run, unique among all runs. A later run of the same key has another id. */
  readonly id: string
  readonly state: RunState
  /** Number of events that the run has so far. After its end the last one is `end`, or `error` if the run has failed or is lost. */
  readonly events: number
  readonly startedAt: Date
  /** Null while the state is `running`. */
  readonly endedAt: Date | null
}

/** A run, as its source sees it. */
export interface SSERunContext<Payload = unknown> {
  /** The key of the run. */
  readonly key: string
  /** Aborts on `app.sse.stop`, `maxDuration` and `abandonAfter`, and when the app closes. Never because a reader has left. */
  readonly signal: AbortSignal
  /** Appends an event to the run, besides the items of the source. Resolves to false if the run has ended. Rejects with the errors of `stream.send`. */
  readonly send: (payload: Payload) => Promise<boolean>
  /** Stops the run: aborts `signal`, and ends the run with the state `stopped`. */
  readonly stop: () => void
}

/** The limits of a run. */
export interface RunLimits {
  /** Time for which an ended run can still be read, ms. 0: only by streams that are reading it. */
  keep: number
  /** Greatest number of bytes that the events of a run may have together. */
  maxBytes: number
  /** Time after which the source is stopped, ms. */
  maxDuration: number
  /** Time without a reader after which the source is stopped, ms; 0: never. */
  abandonAfter: number
}

/**
 * The events of one run, in their order. Events are numbered from 1. Each event is encoded, without an `id:` line.
 */
export interface RunLog {
  readonly info: SSERun
  /**
   * Returns up to `limit` events after the event number `after`. Empty: the process has no later event yet. A promise if the events
   * have to be read from elsewhere.
   */
  read (after: number, limit: number): readonly string[] | Promise<readonly string[]>
  /**
   * Adds a reader. `onChange` is called when events were added, and when the run has ended. Returns a function that removes the reader.
   */
  watch (onChange: () => void): () => void
}

/** The log of a run in the process that runs its source. */
export interface RunWriter extends RunLog {
  /** Appends encoded events. Returns a promise if the log is slow; it resolves once it can take more. */
  append (event: string): Promise<void> | undefined
  /** Appends the last event (`''`: none), and ends the run. Resolves once all readers can read both. */
  end (state: Exclude<RunState, 'running'>, last: string): Promise<void> | undefined
  /** Returns for how long no stream has read the run, ms; 0 if one is reading it. */
  idleFor (): number | Promise<number>
}

/** The run that `RunStore.start` has started or found. `writer` is null if the run was going on. */
export interface StartedRun {
  readonly log: RunLog
  readonly writer: RunWriter | null
}

/** Keeps runs: in the memory of one process, or in Redis for all processes. At most one run of a key is going on at a time. */
export interface RunStore {
  /**
   * Starts a run, unless a run of its key is going on. That run is then returned.
   * @param onStop called when the source has to stop, because a process called `stop`, or restarted the key
   * @param restart stops a run of the key that is going on, and starts a new one
   */
  start (key: string, limits: RunLimits, onStop: () => void, restart: boolean): StartedRun | Promise<StartedRun>
  /** Returns the newest run of a key; null if there is none, or it is no longer kept. */
  find (key: string): RunLog | null | Promise<RunLog | null>
  /** Stops the run of a key. Returns whether one was going on. */
  stop (key: string): boolean | Promise<boolean>
  /** Called after all runs of this process have ended. */
  close (): Promise<void>
}
