// Tested by test/client/reading.test.ts
import { cut, messageOf, optionError, quote, SSEError } from './errors.js'
import { LAST_EVENT_ID, lastEventIdHeader } from './last-event-id.js'
import type { EventsOption, SSEClientOptions, SSERetry, TextOption } from './types.js'

/** The options that were passed to `sse`, for events of any type. */
export type GivenOptions = SSEClientOptions & TextOption & EventsOption<string>

/** The options of `sse` after they were checked, with defaults for the options that were not passed. */
export type Settings = GivenOptions & Required<SSERetry> & Required<Pick<GivenOptions, 'method' | 'reconnect' | 'inactivityTimeout' | 'text' | 'fetch'>>

/**
 * Checks the options of `sse` and applies defaults.
 * @throws SSE_ERR_OPTION, also for a request that can never succeed, because the client would repeat it for ever
 */
export function readOptions (url: string | URL, { retry = {}, text = [], fetch = globalThis.fetch, ...options }: GivenOptions): Settings {
  const { delay = 1_000, maxDelay = 30_000, maxRetries = Infinity } = retry
  const { method = 'GET', inactivityTimeout = 45_000, lastEventId } = options
  const isGet = method.toUpperCase() === 'GET'
  for (const [name, value] of Object.entries({ 'retry.delay': delay, 'retry.maxDelay': maxDelay, 'retry.maxRetries': maxRetries, inactivityTimeout })) {
    // the comparison is negated, so that NaN is refused too
    if (!(value >= 0)) throw optionError(name, 'a number from 0 on', value)
  }
  if (options.share !== undefined && !isGet) throw optionError('share', 'only the method GET', quote(method))
  if (lastEventId && lastEventIdHeader(lastEventId) === undefined) throw optionError('lastEventId', LAST_EVENT_ID, quote(lastEventId))
  if (typeof fetch !== 'function') throw optionError('fetch', 'a function', typeof fetch)
  const settings = { reconnect: isGet, ...options, method, inactivityTimeout, text, delay, maxDelay, maxRetries, fetch }
  checkRequest(url, settings)
  return settings
}

/** Checks the URL and options of a request by creating a `Request`. Another function than the global `fetch` may take other URLs too, such as relative URLs. */
function checkRequest (url: string | URL, { method, body, headers, credentials, reconnect, shouldRetry, fetch }: Settings): void {
  if ((reconnect || shouldRetry) && 'getReader' in Object(body)) throw optionError('body', 'no stream if the request may be sent again', 'a stream')
  const page: typeof globalThis & { location?: { protocol: string } } = globalThis
  const isCustom = fetch !== page.fetch
  try {
    // the string '.' stands in for the body, because `Request` would lock a stream
    const { url: requested } = new Request(isCustom ? new URL(url, 'http://a') : url, { method, body: body && '.', headers: typeof headers === 'function' ? {} : headers, credentials })
    // refuses `localhost:3000/` too, which is a URL with the scheme "localhost:"
    if (!isCustom && !/^(https?|data|blob):/.test(requested) && !requested.startsWith(Object(page.location).protocol)) throw new Error(`fetch takes no URL such as ${cut(requested)}`)
  } catch (cause) {
    throw new SSEError('SSE_ERR_OPTION', `The request is not valid: ${messageOf(cause)}`, { cause })
  }
}
