// Tested by test/client/coming-back.test.ts
import { Connection } from './connection.js'
import { quote, SSEError } from './errors.js'
import { checkLastEventId, lastEventIdHeader } from './last-event-id.js'
import { EventParser } from './event-parser.js'
import { type GivenOptions, readOptions, type Settings } from './options.js'
import { backoff, isRetryable, wait } from './retry.js'
import type { AsText, AsTextOptionsFor, GivenOnGap, SSEClientArguments, SSEClientOptionsFor, SSEEvents, SSEGap, SSEMessage, WithGap } from './types.js'

export type { EventsOf } from '../event/types.js'
export type { SSEErrorCode } from './errors.js'
export type { SSEClientArguments, SSEClientOptions, SSEClientOptionsFor, SSEEvent, SSEEvents, SSEGap, SSEMessage, SSERetry, WithGap } from './types.js'
export { SSEError }

/** An event that was received, with its data parsed. */
interface Received {
  id: string | undefined
  event: string
  data: unknown
}

/**
 * Returns an iterator over the events of a server. The client connects at the first `next()` and reads the stream only as
 * fast as the `for await` loop takes events. After the stream has ended or failed, the client reconnects and sends the id of the last
 * event. `break` aborts the request. A response with status 204 ends the loop.
 *
 * Data is parsed as JSON, except for the events that the option `text` names (`true`: all events). Empty data is
 * undefined.
 *
 * @throws SSEError SSE_ERR_OPTION. `next()` rejects with an SSEError when the client gives up: after a response that is
 * neither an event stream nor 204, 429 or 5xx, unless `shouldRetry` decides otherwise; after more than `retry.maxRetries`
 * failures in a row; after any failure if `reconnect` is off; with SSE_ERR_LAST_EVENT_ID after an id that no header can
 * hold; with SSE_ERR_DATA after data that is not JSON, if `onInvalid` is not set
 */
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: AsTextOptionsFor<NoInfer<Events>> & GivenOnGap): SSEEvents<AsText<Events>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: AsTextOptionsFor<NoInfer<Events>>): SSEEvents<AsText<WithGap<Events>>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: SSEClientOptionsFor<NoInfer<Events>> & GivenOnGap): SSEEvents<Events>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: SSEClientOptionsFor<NoInfer<Events>> | undefined): SSEEvents<WithGap<Events>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, ...options: SSEClientArguments<NoInfer<Events>>): SSEEvents<WithGap<Events>>
export function sse (url: string | URL, options: GivenOptions = {}): AsyncIterableIterator<Received, undefined> & { readonly lastEventId: string | null } {
  const controller = new AbortController()
  const settings = readOptions(url, options)
  const parser = new EventParser(settings.lastEventId ?? null)
  const events = connectLoop(url, settings, parser, controller)
  return {
    get lastEventId () { return parser.lastEventId },
    next: () => events.next(),
    return: () => {
      // aborts first, because the generator's `return()` waits for a pending `next()`, which the abort ends
      controller.abort()
      return events.return(undefined)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

async function * connectLoop (url: string | URL, settings: Settings, parser: EventParser, controller: AbortController): AsyncGenerator<Received, undefined> {
  const { signal, fetch, onGap, onInvalid } = settings
  const abort = () => controller.abort()
  signal?.addEventListener('abort', abort)
  try {
    let failures = 0
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      if (controller.signal.aborted) return
      const connection = new Connection(settings.inactivityTimeout)
      const close = () => connection.close()
      controller.signal.addEventListener('abort', close)
      try {
        const response = await connection.open(async (signal) => fetch(url, await requestOf(settings, attempt, parser.lastEventId, signal)), settings.reconnect)
        if (response?.status === 204) return
        if (response !== null) await settings.onOpen?.({ response, attempt, lastEventId: parser.lastEventId })
        parser.begin()
        for (let text = response && await connection.read(); text !== null; text = await connection.read()) {
          failures = 0
          for (const message of parser.read(text)) {
            if (message.data === settings.end) return
            const isForOnGap = message.event === 'gap' && message.data !== '' && onGap !== undefined
            if (!isForOnGap && settings.events?.includes(message.event) === false) continue
            const event = parseData(message, isForOnGap ? [] : settings.text, parser.lastEventId)
            if (event instanceof SSEError) {
              if (onInvalid === undefined) throw event
              await onInvalid(message)
            } else if (isForOnGap) await onGap(event.data as SSEGap)
            else yield event
          }
        }
      } finally {
        controller.signal.removeEventListener('abort', close)
        connection.close()
      }
      if (controller.signal.aborted) continue
      const { lastEventId } = parser
      const failure = connection.failure && Object.assign(connection.failure, { lastEventId })
      if (failure === null && !settings.reconnect) return
      if (failure !== null && (++failures > settings.maxRetries || !await isRetried(failure, attempt, settings))) throw failure
      if (controller.signal.aborted) continue
      checkLastEventId(lastEventId)
      const delay = backoff(settings, failures, parser.retry, failure)
      await settings.onRetry?.({ delay: delay.total, attempt: attempt + 1, error: failure ?? undefined })
      await wait(delay, controller.signal)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function isRetried (failure: SSEError, attempt: number, { reconnect, shouldRetry }: Settings): Promise<boolean> {
  return await shouldRetry?.(failure, attempt) ?? (reconnect && isRetryable(failure))
}

async function requestOf ({ method, body, headers, credentials }: Settings, attempt: number, lastEventId: string | null, signal: AbortSignal): Promise<RequestInit & { cache: 'no-store' }> {
  const given = new Headers(typeof headers === 'function' ? await headers(attempt) : headers)
  given.set('accept', 'text/event-stream')
  const id = lastEventId && lastEventIdHeader(lastEventId)
  if (id) given.set('last-event-id', id)
  return { method, body, headers: given, credentials, signal, cache: 'no-store' }
}

/** Parses the data of an event as JSON, unless `text` names the event. Returns the error SSE_ERR_DATA (does not throw it) for data that is not JSON. */
function parseData (message: SSEMessage, text: Settings['text'], lastEventId: string | null): Received | SSEError {
  const { id, event, data } = message
  if (text === true || text.includes(event)) return message
  try {
    return { id, event, data: data === '' ? undefined : JSON.parse(data) }
  } catch (cause) {
    return new SSEError('SSE_ERR_DATA', `The data of the event ${quote(event)} is not JSON; the options "text", "end" and "onInvalid" are for text`, { cause, lastEventId })
  }
}
