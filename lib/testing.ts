// Tested by test/issues/inject-takes-too-little.test.ts
import type { OutgoingHttpHeaders } from 'node:http'
import { createError } from '@fastify/error'
import { createParser } from 'eventsource-parser'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { real } from './clock.js'
import { TIMEOUT_MAX } from './timer-list.js'

/** The response is not an event stream. The error has its `statusCode`, `headers` and `body`. */
export const SSE_ERR_NO_STREAM = createError<[number, string]>('SSE_ERR_NO_STREAM', 'The answer is no event stream: status %d, content-type %s')

/** No response or no event arrived within `timeout`. */
export const SSE_ERR_TIMEOUT = createError<[string, number]>('SSE_ERR_TIMEOUT', '%s did not come within %d ms')

/** An event as a client receives it. */
export interface InjectedEvent {
  /** The id of the event; undefined if the event has no `id:` line. */
  id: string | undefined
  /** The event name; `message` if none was sent. */
  event: string
  /** The data as text. */
  data: string
}

/**
 * The options of `app.inject`, and `timeout`: the time to wait for the response, and then for each event, ms. Comments do
 * not restart it. Default 5000. 0 or Infinity: no limit.
 */
export type InjectSSEOptions = Omit<InjectOptions, 'payloadAsStream'> & { timeout?: number }

/** An open stream: an async iterable of its events. It reads only as many events as are requested, so that backpressure applies. */
export interface InjectedStream extends AsyncIterable<InjectedEvent> {
  /** The status of the response. */
  statusCode: number
  /** The headers of the response. */
  headers: OutgoingHttpHeaders
  /** The text that was read so far, with comments, `retry:` and `id:` lines. */
  readonly raw: string
  /** Returns the next event; undefined at the end of the stream. @throws SSE_ERR_TIMEOUT */
  next (): Promise<InjectedEvent | undefined>
  /** Returns the next part of the text and appends it to `raw`; undefined at the end. `next` returns the events in it. @throws SSE_ERR_TIMEOUT */
  read (): Promise<string | undefined>
  /** Disconnects. Pending calls of `next` and `read` resolve to undefined. */
  close (): void
}

/**
 * Opens an event stream of an app by `app.inject`, without a port.
 * @param options a path, or an object of options
 * @throws SSE_ERR_NO_STREAM, SSE_ERR_TIMEOUT
 */
export async function injectSSE (app: Pick<FastifyInstance, 'inject'>, options: string | InjectSSEOptions): Promise<InjectedStream> {
  const { timeout = 5_000, ...request }: InjectSSEOptions = typeof options === 'string' ? { url: options } : options
  const { url = request.path } = request
  const response = await within(timeout, `An answer from ${typeof url === 'object' ? url.pathname : url}`, async (late) => {
    const response = await Promise.race([app.inject({ ...request, payloadAsStream: true }), late])
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

  /** Reads the next chunk. Concurrent calls share it, and a chunk that arrives after a timeout is kept. */
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

/** Runs `work` with a promise that rejects with SSE_ERR_TIMEOUT after `timeout` ms, for it to race against. */
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
