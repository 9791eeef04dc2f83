// Tested by test/runs/resumable.test.ts
import { RunReader } from '../runs/reader.js'
import { parseRunEventId } from '../runs/run-id.js'
import type { RunSource } from '../runs/producer.js'
import type { Runs, RunSettings } from '../runs/runs.js'
import type { RunLog } from '../runs/store.js'
import type { EventStream } from '../stream/event-stream.js'

/** A request that reads a run, and may start it. */
export interface RunRequest {
  /** Result of the application's function for the key. */
  readonly key: unknown
  readonly lastEventId: string | null
  /** Creates the stream that reads the run. Called at most once. */
  readonly createStream: () => EventStream
  /** Limits of a run that the request starts. Null if it starts none. */
  readonly settings: RunSettings | null
  /** Returns the source of a run that the request starts. */
  readonly sourceOf: (stream: EventStream) => RunSource
}

/**
 * Finds the run that a request reads, or starts it. Resolves to a stream that reads the run once it is open; null if there is no run, or
 * the client has all its events.
 * @throws SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_CLOSING, SSE_ERR_BACKPLANE
 */
export async function openRun (runs: Runs, { key, lastEventId, createStream, settings, sourceOf }: RunRequest): Promise<EventStream | null> {
  const last = parseRunEventId(lastEventId)
  // A client that has the id of a run reconnects. It must not start the source again.
  if (settings === null || last !== null) {
    const log = await runs.find(key)
    return log && readFrom(last, log, runs, createStream)
  }
  const { log, produce } = await runs.begin(key, settings)
  if (produce === null) return readFrom(last, log, runs, createStream)
  const stream = startAt(0, log, runs, createStream())
  produce(sourceOf(stream))
  return stream
}

function readFrom (last: ReturnType<typeof parseRunEventId>, log: RunLog, runs: Runs, createStream: () => EventStream): EventStream | null {
  const { id, state, events } = log.info
  // the id of an earlier run says nothing about this one
  const position = last?.run === id ? Math.min(last.n, events) : 0
  if (last?.run === id && state !== 'running' && position === events) return null
  return startAt(position, log, runs, createStream())
}

/** Makes a stream read a run from the event after a number on. A stream that has closed reads nothing. */
function startAt (position: number, log: RunLog, { stats }: Runs, stream: EventStream): EventStream {
  if (!stream.closed) stream.producer = new RunReader(log, position, stats)
  return stream
}
