// Tested by test/runs/resumable.test.ts
import type { FastifyRequest } from 'fastify'
import { SSE_ERR_ROUTE } from '../errors.js'
import type { SSERunContext } from '../runs/store.js'
import type { CloseReason } from '../stats.js'
import type { SSEStream } from '../types.js'

/**
 * The second argument of the `source` of a route with `resumable`: a run in place of a stream. The events of `send` are events of the
 * run, so that all its readers get them.
 */
export class RunStream implements SSEStream {
  readonly key: string
  readonly signal: AbortSignal
  readonly request: FastifyRequest
  readonly id: string
  readonly clientId: string
  readonly lastEventId = null
  readonly resumed = false
  readonly topics: ReadonlySet<string> = new Set()
  readonly #run: SSERunContext

  /** @param reader the stream of the request that has started the run */
  constructor (run: SSERunContext, { id, clientId, request }: SSEStream) {
    this.key = run.key
    this.signal = run.signal
    this.request = request
    this.id = id
    this.clientId = clientId
    this.#run = run
  }

  get closed (): boolean { return this.signal.aborted }
  get closeReason (): CloseReason | null { return this.closed ? 'server' : null }

  send (payload: unknown): Promise<boolean> { return this.#run.send(payload) }

  /** Stops the run. */
  close (): void { this.#run.stop() }

  /** @throws SSE_ERR_ROUTE */
  subscribe (): void {
    const { method, url = '' } = this.request.routeOptions
    throw new SSE_ERR_ROUTE(String(method), url, 'its source has no stream that topics could be added to, because it is resumable')
  }

  unsubscribe (): void {}
}
