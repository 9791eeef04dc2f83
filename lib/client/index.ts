import type { EventSourceMessage } from 'eventsource-parser'
import { Connection } from './connection.js'
import { quote, SSEError } from './errors.js'
import { checkLastEventId, lastEventIdHeader } from './last-event-id.js'
import { Messages } from './messages.js'
import { readOptions, type Settings } from './options.js'
import { delayOf, isPassing, wait } from './retry.js'
import type { SSEClientArguments, SSEClientOptions, SSEClientOptionsFor, SSEEvents, SSEGap, WithGap } from './types.js'

export type { EventsOf } from '../event-types.js'
export type { SSEErrorCode } from './errors.js'
export type { SSEClientArguments, SSEClientOptions, SSEClientOptionsFor, SSEEvent, SSEEvents, SSEGap, SSERetry, WithGap } from './types.js'
export { SSEError }

/** An event with its data read. */
interface Received {
  id: string | undefined
  event: string
  data: unknown
}

/**
 * The events of a server, as they come: the client connects when the first is asked for, reads as fast as they are
 * taken, and comes back with the id of the last where the stream has ended or failed. `break` leaves. A 204 is the end.
 *
 * Data is read as JSON, but for the events that `text` names (`true`: all).
 *
 * @throws SSEError SSE_ERR_OPTION; awaiting an event rejects with an SSEError once the client does not come back:
 * after an answer that is neither an event stream nor 204, 429 or 5xx, after `retry.tries`, without `reconnect`
 * after any failure, with SSE_ERR_LAST_EVENT_ID after an id that no header can hold, and with SSE_ERR_DATA after data
 * that is no JSON
 */
export function sse (url: string | URL, options: SSEClientOptions & { text: true }): SSEEvents<Record<string, string>>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, options: SSEClientOptionsFor<NoInfer<Events>> & Required<Pick<SSEClientOptions, 'onGap'>>): SSEEvents<Events>
export function sse<Events extends object = Record<string, unknown>> (url: string | URL, ...options: SSEClientArguments<NoInfer<Events>>): SSEEvents<WithGap<Events>>
export function sse (url: string | URL, options: SSEClientOptions & { text?: true | readonly string[] } = {}): AsyncIterableIterator<Received, undefined> {
  const left = new AbortController()
  const events = follow(url, readOptions(options), left)
  return {
    next: () => events.next(),
    return: () => {
      // also while the next is awaited
      left.abort()
      return events.return(undefined)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

async function * follow (url: string | URL, settings: Settings, left: AbortController): AsyncGenerator<Received, undefined> {
  const { signal } = settings
  const messages = new Messages(settings.lastEventId)
  const leave = () => left.abort()
  signal?.addEventListener('abort', leave)
  try {
    let failures = 0
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      if (left.signal.aborted) return
      const connection = new Connection(settings.silence)
      const close = () => connection.close()
      left.signal.addEventListener('abort', close)
      try {
        const response = await connection.open(async (signal) => fetch(url, await requestOf(settings, attempt, messages.lastEventId, signal)), settings.reconnect)
        if (response?.status === 204) return
        if (response !== null) await settings.onOpen?.({ response, attempt, lastEventId: messages.lastEventId ?? null })
        messages.begin()
        for (let text = response && await connection.read(); text !== null; text = await connection.read()) {
          failures = 0
          for (const message of messages.read(text)) {
            const event = received(message, settings)
            if (event.event === 'gap' && settings.onGap) await settings.onGap(event.data as SSEGap)
            else yield event
          }
        }
      } finally {
        left.signal.removeEventListener('abort', close)
        connection.close()
      }
      if (left.signal.aborted) continue
      const { failure } = connection
      if (failure !== null && (!settings.reconnect || !isPassing(failure) || ++failures > settings.tries)) throw failure
      if (!settings.reconnect) return
      checkLastEventId(messages.lastEventId)
      const delay = delayOf(settings, failures, messages.retry, failure)
      await settings.onRetry?.({ delay: delay.whole, attempt: attempt + 1, error: failure ?? undefined })
      await wait(delay, left.signal)
    }
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

async function requestOf ({ method, body, headers, credentials }: Settings, attempt: number, lastEventId: string | undefined, signal: AbortSignal): Promise<RequestInit & { cache: 'no-store' }> {
  const given = new Headers(typeof headers === 'function' ? await headers(attempt) : headers)
  given.set('accept', 'text/event-stream')
  const id = lastEventId && lastEventIdHeader(lastEventId)
  if (id) given.set('last-event-id', id)
  return { method, body, headers: given, credentials, signal, cache: 'no-store' }
}

/** @throws SSE_ERR_DATA */
function received ({ id, event = 'message', data }: EventSourceMessage, { text, onGap }: Settings): Received {
  const isText = text === true ? !(event === 'gap' && onGap) : text.includes(event)
  if (isText) return { id, event, data }
  try {
    return { id, event, data: JSON.parse(data) }
  } catch (cause) {
    throw new SSEError('SSE_ERR_DATA', `The data of the event ${quote(event)} is no JSON; the option "text" takes the names of events with text`, { cause })
  }
}
