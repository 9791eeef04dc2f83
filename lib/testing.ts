import type { OutgoingHttpHeaders } from 'node:http'
import { createError } from '@fastify/error'
import { createParser } from 'eventsource-parser'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { real } from './clock.js'
import { TIMEOUT_MAX } from './timer-list.js'

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

/**
 * Options of `app.inject`; `timeout`: how long to wait for the answer, and then for each event, ms, whatever comments
 * come before it. Default 5000. 0 or Infinity: no limit.
 */
export type InjectSSEOptions = Omit<InjectOptions, 'payloadAsStream'> & { timeout?: number }

/** An open stream: its events, in order, as they come. It is read no further than what is asked for. */
export interface InjectedStream extends AsyncIterable<InjectedEvent> {
  statusCode: number
  headers: OutgoingHttpHeaders
  /** All text that was read so far, with comments, `retry` and `id` lines. */
  readonly raw: string
  /** The next event, or undefined at the end of the stream. @throws SSE_ERR_TIMEOUT */
  next (): Promise<InjectedEvent | undefined>
  /** Waits for more text, which is added to `raw`; undefined at the end. `next` yields the events in it. @throws SSE_ERR_TIMEOUT */
  read (): Promise<string | undefined>
  /** Leaves, as a client that disconnects. Calls of `next` and `read` that wait resolve to undefined. */
  close (): void
}

/**
 * Opens an event stream of `app` without a port.
 * @param options a path, or an object
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

  /** Calls at the same time share the next chunk, and one that comes after a timeout is not lost. */
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

/** @param work is given a promise that rejects after `timeout` ms, for it to race */
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
