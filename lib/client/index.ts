// Tested by test/client/coming-back.test.ts
/**
 * The client, for browsers and Node.
 *
 * @module fastify-sse-routes/client
 */
import { connect } from './connect.js'
import { quote, SSEError } from './errors.js'
import { type GivenOptions, readOptions, type Settings } from './options.js'
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
 * event. `break` aborts the request. A response with status 204 ends the loop. With `share`, the tabs of an origin read
 * from one connection.
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
  const position = { lastEventId: options.lastEventId ?? null }
  const events = readEvents(url, readOptions(url, options), position, controller)
  return {
    get lastEventId () { return position.lastEventId },
    next: () => events.next(),
    return: () => {
      // aborts first, because the generator's `return()` waits for a pending `next()`, which the abort ends
      controller.abort()
      return events.return(undefined)
    },
    [Symbol.asyncIterator] () { return this }
  }
}

/** Filters and parses the messages of the connection, or of the shared connection. Sets `position` to each message that is yielded or handled. */
async function * readEvents (url: string | URL, settings: Settings, position: { lastEventId: string | null }, controller: AbortController): AsyncGenerator<Received, undefined> {
  const { signal, onGap, onInvalid } = settings
  signal?.throwIfAborted()
  signal?.addEventListener('abort', () => controller.abort(), { signal: controller.signal })
  try {
    // a separate chunk of a bundle, so that pages without `share` do not load it
    const parts = settings.share === undefined
      ? connect(url, settings, position.lastEventId, controller.signal)
      : (await import('./share.js')).share(connect, SSEError, url, settings, controller.signal)
    for await (const part of parts) {
      for (const { message, lastEventId } of part) {
        if (controller.signal.aborted) break
        position.lastEventId = lastEventId
        if (message === undefined) continue
        if (message.data === settings.end) return
        const isForOnGap = message.event === 'gap' && message.data !== '' && onGap !== undefined
        if (!isForOnGap && settings.events?.includes(message.event) === false) continue
        const event = parseData(message, isForOnGap ? [] : settings.text, lastEventId)
        if (event instanceof SSEError) {
          if (onInvalid === undefined) throw event
          await onInvalid(message)
        } else if (isForOnGap) await onGap(event.data as SSEGap)
        else yield event
      }
    }
    signal?.throwIfAborted()
  } finally {
    controller.abort()
  }
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
