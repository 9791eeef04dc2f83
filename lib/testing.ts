import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { createError } from '@fastify/error'
import { createParser } from 'eventsource-parser'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { real } from './clock.js'

/** The answer is no event stream; `statusCode`, `headers` and `body` hold what it is. */
export const SSE_ERR_NO_STREAM = createError<[number, string]>('SSE_ERR_NO_STREAM', 'The answer is no event stream: status %d, content-type %s')

/** Nothing came within the time limit. */
export const SSE_ERR_TIMEOUT = createError<[string, number]>('SSE_ERR_TIMEOUT', '%s did not come within %d ms')

/** An event as a client sees it. */
export interface InjectedEvent {
  /** The event's own `id`; undefined where it has none. */
  id: string | undefined
  /** `message` where none was sent. */
  event: string
  data: string
}

/** What is asked for, as in `app.inject`; `timeout`: how long to wait for the answer and for each event, ms, default 5000. */
export type InjectSSEOptions = Pick<InjectOptions, 'url' | 'method' | 'payload'> & { headers?: IncomingHttpHeaders, timeout?: number }

/** An open stream: its events, in order, as they come. */
export interface InjectedStream extends AsyncIterable<InjectedEvent> {
  statusCode: number
  headers: OutgoingHttpHeaders
  /** The next event, or undefined at the end of the stream. @throws SSE_ERR_TIMEOUT */
  next (): Promise<InjectedEvent | undefined>
  /** Leaves, as a client that disconnects. */
  close (): void
}

/**
 * Opens an event stream of `app` without a port.
 * @throws SSE_ERR_NO_STREAM, SSE_ERR_TIMEOUT
 */
export async function injectSSE (app: Pick<FastifyInstance, 'inject'>, options: InjectSSEOptions): Promise<InjectedStream> {
  const { timeout = 5_000, ...request } = options
  const response = await within(timeout, `An answer from ${String(request.url)}`, app.inject({ method: 'GET', ...request, payloadAsStream: true }))
  const { statusCode, headers } = response
  const type = String(headers['content-type'])
  const chunks = response.stream()
  if (!type.startsWith('text/event-stream')) {
    let body = ''
    for await (const chunk of chunks) body += chunk
    throw Object.assign(new SSE_ERR_NO_STREAM(statusCode, type), { statusCode, headers, body })
  }

  const events: InjectedEvent[] = []
  const parser = createParser({ onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data }) })
  const decoder = new TextDecoder()
  const reader = chunks[Symbol.asyncIterator]()

  async function next (): Promise<InjectedEvent | undefined> {
    while (events.length === 0) {
      const { done, value } = await within(timeout, 'An event', reader.next())
      if (done) return undefined
      parser.feed(decoder.decode(value, { stream: true }))
    }
    return events.shift()
  }

  function close (): void {
    response.raw.res.destroy()
  }

  async function * iterate (): AsyncGenerator<InjectedEvent> {
    try {
      for (let event = await next(); event !== undefined; event = await next()) yield event
    } finally {
      close()
    }
  }

  return { statusCode, headers, next, close, [Symbol.asyncIterator]: iterate }
}

async function within<T> (timeout: number, what: string, promise: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = real.setTimeout(() => reject(new SSE_ERR_TIMEOUT(what, timeout)), timeout)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    real.clearTimeout(timer)
  }
}
