// Tested by test/runs/resumable.test.ts
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Callbacks } from './callbacks.js'
import { encodeItem } from './run-source.js'
import { encode } from '../event/encode.js'
import type { RouteDeclaration } from '../options/read.js'
import { RunReader } from '../runs/reader.js'
import { parseRunEventId } from '../runs/run-id.js'
import type { RunSource } from '../runs/producer.js'
import type { Runs } from '../runs/runs.js'
import type { RunLog } from '../runs/store.js'
import { RunStream } from './run-stream.js'
import { Source } from './source.js'
import type { EventStream } from '../stream/event-stream.js'
import { readLastEventId } from '../stream/headers.js'

/** Finds or starts the run that a request of a route with `resumable` or `resume` reads. */
export class RunRequests {
  readonly #app: FastifyInstance
  readonly #runs: Runs
  readonly #declared: RouteDeclaration
  readonly #callbacks: Callbacks

  constructor (app: FastifyInstance, runs: Runs, declared: RouteDeclaration, callbacks: Callbacks) {
    this.#app = app
    this.#runs = runs
    this.#declared = declared
    this.#callbacks = callbacks
  }

  /**
   * Resolves to a stream that will read the run of a request; null if the client has everything of the run, or there is no run to read.
   * @param createStream called once, if the run is to be read
   * @throws SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_CLOSING, SSE_ERR_BACKPLANE, the errors of the application's functions
   */
  async open (request: FastifyRequest, createStream: () => EventStream): Promise<EventStream | null> {
    const { resume, resumable } = this.#declared
    const last = parseRunEventId(readLastEventId(request))
    const key = (resume ?? resumable?.key)?.call(this.#app, request)
    // a client that has read a run reconnects, and must not start the source again
    if (resumable === undefined || last !== null) {
      const log = await this.#runs.find(key)
      return log === null ? null : this.#read(log, last, createStream)
    }
    const { log, produce } = await this.#runs.begin(key, resumable)
    if (produce === null) return this.#read(log, last, createStream)
    const stream = startAt(0, log, createStream())
    produce(this.#sourceOf(request, stream))
    return stream
  }

  #read (log: RunLog, last: { run: string, n: number } | null, createStream: () => EventStream): EventStream | null {
    const { id, state, events } = log.info
    const position = last?.run === id ? Math.min(last.n, events) : 0
    if (state !== 'running' && position >= events && position > 0) return null
    return startAt(position, log, createStream())
  }

  #sourceOf (request: FastifyRequest, stream: EventStream): RunSource {
    const { source, items, end } = this.#declared
    const { settings } = stream
    return {
      open: (run) => new Source(source?.call(this.#app, request, new RunStream(run, stream)), request),
      encode: (item) => encodeItem(item, items, settings),
      encodeEvent: (payload) => encodeItem(payload, 'payload', settings),
      end: end === undefined ? '' : encode(end, settings.writeData),
      onError: (error) => this.#callbacks.lastOfRun(error, stream)
    }
  }
}

/** Makes a stream read a run, from the event after a number. A stream that is closed reads nothing. */
function startAt (position: number, log: RunLog, stream: EventStream): EventStream {
  if (!stream.closed) stream.producer = new RunReader(log, position)
  return stream
}
