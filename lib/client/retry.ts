// Tested by test/client/coming-back.test.ts
import type { SSEError } from './errors.js'
import type { Settings } from './options.js'

/** Longest delay of a timer, ms. A longer delay becomes 1 ms. */
export const LONGEST = 2 ** 31 - 1

/** Shortest delay that a server can ask for by `retry:`, ms, because some send `retry: 0`: 600 requests a second on a fast network. */
const SHORTEST = 100

/** True if another attempt may succeed. False after the server has refused this request, and after `fetch` gave no Response. */
export function isRetryable ({ code, status, body }: SSEError): boolean {
  if (code === 'SSE_ERR_OPTION') return false
  // if the connection breaks within the headers, Chromium reports a response with some of the headers, or part of the status, and no body
  return status === undefined || status === 429 || status >= 500 || (status <= 200 && body === '')
}

/** The delay before an attempt, ms: the server's minimum, and after failures a random time, so that clients do not reconnect all at once. */
export interface Delay {
  /** From `retry:` or Retry-After. */
  minimum: number
  total: number
}

/**
 * Calculates the delay before the next attempt: exponential backoff with full jitter.
 * @param failures number of consecutive attempts that failed
 * @param retry the server's last `retry:`, ms
 */
export function backoff ({ delay, maxDelay }: Settings, failures: number, retry: number | undefined, error: SSEError | null): Delay {
  const minimum = retryAfter(error?.headers) ?? (retry === undefined ? 0 : Math.max(SHORTEST, retry))
  // bounded, because with `delay: 0` the product 0 * 2 ** 1024 is NaN, and a timer would fire at once
  const doublings = Math.min(30, Math.max(0, failures - 1))
  const jitter = failures === 0 && retry !== undefined ? 0 : Math.random() * Math.min(LONGEST, maxDelay, delay * 2 ** doublings)
  return { minimum, total: Math.min(LONGEST, Math.round(minimum + jitter)) }
}

/** Reads Retry-After (RFC 9110, section 10.2.3), in seconds or as a date. Returns ms. */
function retryAfter (headers: Headers | undefined): number | undefined {
  const value = headers?.get('retry-after')
  if (value == null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return ms >= 0 ? ms : undefined
}

/** Globals of a page that a server lacks. */
type Page = Partial<EventTarget> & { document?: { hidden: boolean } }

/**
 * Waits for the delay, or until `signal` aborts. After `minimum` it also ends once the page becomes visible or the network
 * is back, because a page in the background has late timers.
 */
export async function wait ({ minimum, total }: Delay, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const page: typeof globalThis & Page = globalThis
  const over = new AbortController()
  const listening = { signal: over.signal }
  await new Promise<void>((resolve) => {
    const begun = Date.now()
    const timer = setTimeout(resolve, total)
    const wake = () => {
      if (!page.document?.hidden && Date.now() - begun >= minimum) resolve()
    }
    for (const event of ['online', 'visibilitychange']) page.addEventListener?.(event, wake, listening)
    signal.addEventListener('abort', () => resolve(), listening)
    over.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  over.abort()
}
