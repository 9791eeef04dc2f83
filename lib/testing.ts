// Tested by test/issues/inject-takes-too-little.test.ts
/**
 * Event streams in the tests of an application.
 *
 * @module fastify-sse-routes/testing
 */
import type { OutgoingHttpHeaders } from 'node:http'
import { createError } from '@fastify/error'
import { createParser } from 'eventsource-parser'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { real } from './clock.js'
import { TIMEOUT_MAX } from './timer-list.js'

/** The error of `injectSSE` if the response is not an event stream. Has the `statusCode`, `headers` and `body` of the response. */
export const SSE_ERR_NO_STREAM = createError<[number, string]>('SSE_ERR_NO_STREAM', 'The answer is no event stream: status %d, content-type %s')

/** The error if no response, event or text arrives within the time in the option `timeout` of `injectSSE`. */
export const SSE_ERR_TIMEOUT = createError<[string, number]>('SSE_ERR_TIMEOUT', '%s did not come within %d ms')

/** One event as an EventSource client receives it, after parsing. */
export interface InjectedEvent {
  /** The value of the event's `id:` line; undefined if the event has none. */
  id: string | undefined
  /** The name of the event; `message` if the event has no `event:` line. */
  event: string
  /** The data of the event as text: JSON is not parsed. */
  data: string
}

/**
 * The options of Fastify's `app.inject`, and `timeout`: the longest time until the response, and then until each event, ms.
 * Comments do not restart this time. Default 5000. 0 or Infinity: no limit.
 */
export type InjectSSEOptions = Omit<InjectOptions, 'payloadAsStream'> & { timeout?: number }

/** The response of `injectSSE`: an async iterable of events. Reads only when the test asks for the next event, so that a test that does not ask is a slow client. */
export interface InjectedStream extends AsyncIterable<InjectedEvent> {
  /** The HTTP status of the response. */
  statusCode: number
  /** The HTTP headers of the response. */
  headers: OutgoingHttpHeaders
  /** All text of the response that was read so far, also comments and `retry:` and `id:` lines. */
  readonly raw: string
  /** Reads until there is an event, and returns the event; undefined at the end of the stream. @throws SSE_ERR_TIMEOUT */
  next (): Promise<InjectedEvent | undefined>
  /**
   * Reads the next chunk of text, also of comments, appends the chunk to `raw` and returns it; undefined at the end of the stream.
   * Events in the chunk are returned by later calls of `next`. @throws SSE_ERR_TIMEOUT
   */
  read (): Promise<string | undefined>
  /** Disconnects from the app, which closes the stream. Pending calls of `next` and `read` resolve to undefined. */
  close (): void
}

/**
 * Opens an event stream of an app in a test, by `app.inject`, so that the app needs no port.
 * @param options the path of the request, or an object of options
 * @throws SSE_ERR_NO_STREAM, SSE_ERR_TIMEOUT
 */
export async function injectSSE (app: Pick<FastifyInstance, 'inject'>, options: string | InjectSSEOptions): Promise<InjectedStream> {
  const { timeout = 5_000, ...request }: InjectSSEOptions = typeof options === 'string' ? { url: options } : options
  const { url = request.path } = request
  const response = await within(timeout, `An answer from ${typeof url === 'object' ? url.pathname : url}`, async (late) => {
    // the types of inject allow undefined headers, such as the id of a first event that has none, but light-my-request fails an assertion
    const sent = Object.fromEntries(Object.entries(request.headers ?? {}).filter(([, value]) => value !== undefined))
    const response = await Promise.race([app.inject({ ...request, headers: sent, payloadAsStream: true }), late])
    const { statusCode, headers } = response
    const type = String(headers['content-type'])
    if (type.startsWith('text/event-stream')) return response
    const body = await Promise.race([textOf(response.stream().setEncoding('utf8')), late])
    throw Object.assign(new SSE_ERR_NO_STREAM(statusCode, type), { statusCode, headers, body })
  })

  const events: InjectedEvent[] = []
  const parser = createParser({ onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data }) })
  const decoder = new TextDecoder()
  const chunks = response.stream()[Symbol.asyncIterator]()
  let raw = ''
  let closed = false
  let reading: Promise<string | undefined> | undefined

  /** Reads the next chunk. Concurrent calls get the same chunk. If a chunk arrives after a timeout, its events are kept for `next`. */
  function readOn (): Promise<string | undefined> {
    reading ??= readChunk().finally(() => { reading = undefined })
    return reading
  }

  async function readChunk (): Promise<string | undefined> {
    try {
      const { done, value } = await chunks.next()
      if (done) return undefined
      const text = decoder.decode(value, { stream: true })
      raw += text
      parser.feed(text)
      return text
    } catch (error) {
      if (closed) return undefined
      throw error
    }
  }

  const read = () => within(timeout, 'Text', (late) => Promise.race([readOn(), late]))

  const next = () => within(timeout, 'An event', async (late) => {
    while (events.length === 0) if (await Promise.race([readOn(), late]) === undefined) return undefined
    return events.shift()
  })

  function close (): void {
    closed = true
    response.raw.res.destroy()
  }

  async function * iterate (): AsyncGenerator<InjectedEvent> {
    try {
      for (let event = await next(); event !== undefined; event = await next()) yield event
    } finally {
      close()
    }
  }

  const { statusCode, headers } = response
  return { statusCode, headers, get raw () { return raw }, next, read, close, [Symbol.asyncIterator]: iterate }
}

async function textOf (chunks: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const chunk of chunks) text += chunk
  return text
}

/** Calls `work` and returns its result. `work` gets a promise that rejects with SSE_ERR_TIMEOUT after `timeout` ms, and has to race it. */
async function within<T> (timeout: number, what: string, work: (late: Promise<never>) => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    if (timeout > 0 && timeout <= TIMEOUT_MAX) timer = real.setTimeout(() => reject(new SSE_ERR_TIMEOUT(what, timeout)), timeout)
  })
  try {
    return await work(late)
  } finally {
    real.clearTimeout(timer)
  }
}
