// Tested by test/client/reading.test.ts
import { messageOf, quote, SSEError } from './errors.js'
import { LAST_EVENT_ID, lastEventIdHeader } from './last-event-id.js'
import type { EventsOption, SSEClientOptions, SSERetry, TextOption } from './types.js'

/** The options that were passed to `sse`, for events of any type. */
export type GivenOptions = SSEClientOptions & TextOption & EventsOption<string>

/** The options of `sse` after they were checked, with defaults for the options that were not passed. */
export type Settings = GivenOptions & Required<SSERetry> & Required<Pick<GivenOptions, 'method' | 'reconnect' | 'inactivityTimeout' | 'text' | 'fetch'>>

const refusal = (message: string, details = {}) => new SSEError('SSE_ERR_OPTION', message, details)

/**
 * Checks the options of `sse` and applies defaults.
 * @throws SSE_ERR_OPTION, also for a request that can never succeed, because the client would repeat it for ever
 */
export function readOptions (url: string | URL, { retry = {}, text = [], fetch, ...options }: GivenOptions): Settings {
  const { delay = 1_000, maxDelay = 30_000, maxRetries = Infinity } = retry
  const { method = 'GET', inactivityTimeout = 45_000, lastEventId } = options
  for (const [name, value] of Object.entries({ 'retry.delay': delay, 'retry.maxDelay': maxDelay, 'retry.maxRetries': maxRetries, inactivityTimeout })) {
    // the comparison is negated, so that NaN is refused too
    if (!(value >= 0)) throw refusal(`The option "${name}" takes a number from 0 on, got ${value}`)
  }
  if (options.share !== undefined && method.toUpperCase() !== 'GET') throw refusal(`The option "share" is for the method GET, got ${quote(method)}`)
  if (lastEventId && lastEventIdHeader(lastEventId) === undefined) throw refusal(`The option "lastEventId" takes text of ${LAST_EVENT_ID}, got ${quote(lastEventId)}`)
  const settings = { reconnect: method.toUpperCase() === 'GET', ...options, method, inactivityTimeout, text, delay, maxDelay, maxRetries, fetch: fetch === undefined ? globalThis.fetch : fetch }
  if (typeof settings.fetch !== 'function') throw refusal(`The option "fetch" takes a function, got ${typeof settings.fetch}`)
  checkRequest(url, settings, fetch !== undefined)
  return settings
}

/** Checks the URL and options of a request by creating a `Request`. With the option `fetch`, other URLs are allowed too, such as relative URLs. */
function checkRequest (url: string | URL, { method, body, headers, credentials, reconnect, shouldRetry }: GivenOptions, customFetch: boolean): void {
  if ((reconnect || shouldRetry) && 'getReader' in Object(body)) throw refusal('The option "body" takes no stream where the request may be sent again, because a stream can be read once')
  const page: typeof globalThis & { location?: { protocol: string } } = globalThis
  try {
    // the string '.' stands in for the body, because `Request` would lock a stream
    const request = new Request(customFetch ? new URL(url, 'http://a') : url, { method, body: body && '.', headers: typeof headers === 'function' ? {} : headers, credentials })
    const { protocol } = new URL(request.url)
    // refuses `localhost:3000/` too, which is a URL with the scheme "localhost:"
    if (!customFetch && !/^(https?|data|blob):$/.test(protocol) && protocol !== Object(page.location).protocol) throw new Error(`fetch takes no URL with the scheme "${protocol}"`)
  } catch (cause) {
    throw refusal(`The request is not valid: ${messageOf(cause)}`, { cause })
  }
}
