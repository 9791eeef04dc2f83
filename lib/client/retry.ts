// Tested by test/client/coming-back.test.ts
import type { SSEError } from './errors.js'
import type { Settings } from './options.js'

/** The longest delay of a timer, ms. A timer with a longer delay fires after 1 ms. */
export const LONGEST = 2 ** 31 - 1

/** The shortest delay that a server can set by `retry:`, ms. Some servers send `retry: 0`, which would cause 600 requests a second on a fast network. */
const SHORTEST = 100

/** Returns true if another attempt may succeed. Returns false if the server refused this request, or if `fetch` did not resolve to a Response. */
export function isRetryable ({ code, status, body }: SSEError): boolean {
  if (code === 'SSE_ERR_OPTION') return false
  // if the connection breaks within the headers, Chromium reports a response without a body and with only part of the headers or of the status
  return status === undefined || status === 429 || status >= 500 || (status <= 200 && body === '')
}

/**
 * The delay before an attempt to connect, ms. `total` is `minimum` plus a random time, so that clients do not reconnect all
 * at once. If the server sent `retry:` and the stream ended without an error, the random time is 0.
 */
export interface Delay {
  /** The delay that the server demands by the header Retry-After, or else by `retry:`. 0 if the server sent neither. */
  minimum: number
  total: number
}

/**
 * Calculates the delay before the next attempt. Its random part is between 0 and a bound that doubles with each failure
 * (exponential backoff with full jitter).
 * @param failures number of consecutive attempts that failed; 0 after a stream without an error
 * @param retry the delay of the server's last `retry:`, ms; undefined if it sent none
 */
export function backoff ({ delay, maxDelay }: Settings, failures: number, retry: number | undefined, error: SSEError | null): Delay {
  const minimum = Math.min(LONGEST, retryAfter(error?.headers) ?? (retry === undefined ? 0 : Math.max(SHORTEST, retry)))
  // at most 30, because with `delay: 0` the product 0 * 2 ** 1024 is NaN, and a timer of NaN ms fires at once
  const doublings = Math.min(30, Math.max(0, failures - 1))
  const jitter = failures === 0 && retry !== undefined ? 0 : Math.random() * Math.min(LONGEST, maxDelay, delay * 2 ** doublings)
  return { minimum, total: Math.min(LONGEST, Math.round(minimum + jitter)) }
}

/** Converts the header Retry-After (RFC 9110, section 10.2.3), which is seconds or a date, to ms. Undefined if the header is missing, invalid or past. */
function retryAfter (headers: Headers | undefined): number | undefined {
  const value = headers?.get('retry-after')
  if (value == null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return ms >= 0 ? ms : undefined
}

/** Global objects that exist in a browser page, but not on a server. */
type Page = Partial<EventTarget> & { document?: { hidden: boolean } }

/**
 * Waits for `total` ms, or until `signal` aborts. If the page becomes visible or the network is available again, waits for
 * `minimum` ms only, because timers fire late in a page in the background.
 */
export async function wait ({ minimum, total }: Delay, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const page: typeof globalThis & Page = globalThis
  const over = new AbortController()
  const listening = { signal: over.signal }
  const end = Date.now() + minimum
  let timer: ReturnType<typeof setTimeout> | undefined
  await new Promise<unknown>((resolve) => {
    const wake = () => {
      clearTimeout(timer)
      timer = setTimeout(resolve, end - Date.now())
    }
    timer = setTimeout(resolve, total)
    page.addEventListener?.('online', wake, listening)
    page.addEventListener?.('visibilitychange', () => page.document?.hidden || wake(), listening)
    signal.addEventListener('abort', resolve, listening)
  })
  clearTimeout(timer)
  over.abort()
}
