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

/** An event with its data read. */
interface Received {
  id: string | undefined
  event: string
  data: unknown
}

/**
 * The events of a server, as they come: the client connects when the first is asked for, reads as fast as they are
 * taken, and reconnects with the id of the last where the stream has ended or failed. `break` leaves. A 204 is the end.
 *
 * Data is read as JSON, but for the events that `text` names (`true`: all); empty data is undefined.
 *
 * @throws SSEError SSE_ERR_OPTION; awaiting an event rejects with an SSEError once the client does not reconnect:
 * after a response that is neither an event stream nor 204, 429 or 5xx, unless `shouldRetry` decides otherwise, after
 * `retry.maxRetries`, without `reconnect` after any failure, with SSE_ERR_LAST_EVENT_ID after an id that no header can
 * hold, and with SSE_ERR_DATA after data that is not JSON, without `onInvalid`
 */
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: AsTextOptionsFor<NoInfer<Events>> & GivenOnGap): SSEEvents<AsText<Events>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: AsTextOptionsFor<NoInfer<Events>>): SSEEvents<AsText<WithGap<Events>>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: SSEClientOptionsFor<NoInfer<Events>> & GivenOnGap): SSEEvents<Events>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: SSEClientOptionsFor<NoInfer<Events>> | undefined): SSEEvents<WithGap<Events>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, ...options: SSEClientArguments<NoInfer<Events>>): SSEEvents<WithGap<Events>>
export function sse (url: string | URL, options: GivenOptions = {}): AsyncIterableIterator<Received, undefined> & { readonly lastEventId: string | null } {
  const leaving = new AbortController()
  const settings = readOptions(url, options)
  const messages = new EventParser(settings.lastEventId ?? null)
  const events = connectLoop(url, settings, messages, leaving)
  return {
    get lastEventId () { return messages.lastEventId },
    next: () => events.next(),
    return: () => {
      // also while the next is awaited
      leaving.abort()
      return events.return(undefined)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

async function * connectLoop (url: string | URL, settings: Settings, messages: EventParser, left: AbortController): AsyncGenerator<Received, undefined> {
  const { signal, fetch, onGap, onInvalid } = settings
  const leave = () => left.abort()
  signal?.addEventListener('abort', leave)
  try {
    let failures = 0
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      if (left.signal.aborted) return
      const connection = new Connection(settings.inactivityTimeout)
      const close = () => connection.close()
      left.signal.addEventListener('abort', close)
      try {
        const response = await connection.open(async (signal) => fetch(url, await requestOf(settings, attempt, messages.lastEventId, signal)), settings.reconnect)
        if (response?.status === 204) return
        if (response !== null) await settings.onOpen?.({ response, attempt, lastEventId: messages.lastEventId })
        messages.begin()
        for (let text = response && await connection.read(); text !== null; text = await connection.read()) {
          failures = 0
          for (const message of messages.read(text)) {
            if (message.data === settings.end) return
            const isForOnGap = message.event === 'gap' && message.data !== '' && onGap !== undefined
            if (!isForOnGap && settings.events?.includes(message.event) === false) continue
            const event = received(message, isForOnGap ? [] : settings.text, messages.lastEventId)
            if (event instanceof SSEError) {
              if (onInvalid === undefined) throw event
              await onInvalid(message)
            } else if (isForOnGap) await onGap(event.data as SSEGap)
            else yield event
          }
        }
      } finally {
        left.signal.removeEventListener('abort', close)
        connection.close()
      }
      if (left.signal.aborted) continue
      const { lastEventId } = messages
      const failure = connection.failure && Object.assign(connection.failure, { lastEventId })
      if (failure === null && !settings.reconnect) return
      if (failure !== null && (++failures > settings.maxRetries || !await isRepeated(failure, attempt, settings))) throw failure
      if (left.signal.aborted) continue
      checkLastEventId(lastEventId)
      const delay = backoff(settings, failures, messages.retry, failure)
      await settings.onRetry?.({ delay: delay.whole, attempt: attempt + 1, error: failure ?? undefined })
      await wait(delay, left.signal)
    }
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

async function isRepeated (failure: SSEError, attempt: number, { reconnect, shouldRetry }: Settings): Promise<boolean> {
  return await shouldRetry?.(failure, attempt) ?? (reconnect && isRetryable(failure))
}

async function requestOf ({ method, body, headers, credentials }: Settings, attempt: number, lastEventId: string | null, signal: AbortSignal): Promise<RequestInit & { cache: 'no-store' }> {
  const given = new Headers(typeof headers === 'function' ? await headers(attempt) : headers)
  given.set('accept', 'text/event-stream')
  const id = lastEventId && lastEventIdHeader(lastEventId)
  if (id) given.set('last-event-id', id)
  return { method, body, headers: given, credentials, signal, cache: 'no-store' }
}

/** An event with its data read; SSE_ERR_DATA where that is not JSON. */
function received (message: SSEMessage, text: Settings['text'], lastEventId: string | null): Received | SSEError {
  const { id, event, data } = message
  if (text === true || text.includes(event)) return message
  try {
    return { id, event, data: data === '' ? undefined : JSON.parse(data) }
  } catch (cause) {
    return new SSEError('SSE_ERR_DATA', `The data of the event ${quote(event)} is not JSON; the options "text", "end" and "onInvalid" are for text`, { cause, lastEventId })
  }
}
