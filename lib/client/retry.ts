import type { SSEError } from './errors.js'
import type { Settings } from './options.js'

/** Longest delay of a timer, ms. Timers take anything above it for 1 ms. */
export const LONGEST = 2 ** 31 - 1

/** Shortest delay that a server can ask for by `retry:`, ms, because some send `retry: 0`: 600 requests a second on a fast network. */
const SHORTEST = 100

/** True if another attempt may succeed. False after the server has refused this request, and after `fetch` gave no Response. */
export function isRetryable ({ code, status, body }: SSEError): boolean {
  if (code === 'SSE_ERR_OPTION') return false
  // where the connection breaks within the head of an answer, Chromium has one with half the headers, or half the status, and no body
  return status === undefined || status === 429 || status >= 500 || (status <= 200 && body === '')
}

/** How long to wait before an attempt, ms: what the server asks for, and after failures some more, so that not all who failed come at once. */
export interface Delay {
  asked: number
  whole: number
}

/**
 * @param failures how many attempts have failed, one after the other
 * @param retry what the server's last `retry:` said, ms
 */
export function backoff ({ delay, maxDelay }: Settings, failures: number, retry: number | undefined, error: SSEError | null): Delay {
  const asked = retryAfter(error?.headers) ?? (retry === undefined ? 0 : Math.max(SHORTEST, retry))
  // bounded, because 0 * Infinity and 2 ** 1024 would be no delay at all
  const doublings = Math.min(30, Math.max(0, failures - 1))
  const more = failures === 0 && retry !== undefined ? 0 : Math.random() * Math.min(LONGEST, maxDelay, delay * 2 ** doublings)
  return { asked, whole: Math.min(LONGEST, Math.round(asked + more)) }
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfter (headers: Headers | undefined): number | undefined {
  const value = headers?.get('retry-after')
  if (value == null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return ms >= 0 ? ms : undefined
}

/** What a page has, and a server has not. */
type Page = Partial<EventTarget> & { document?: { hidden: boolean } }

/**
 * Waits, at least for what is asked. A page in the background has late timers, and nobody looks at it: it comes back as
 * soon as it is seen, or the network is there again.
 */
export async function wait ({ asked, whole }: Delay, left: AbortSignal): Promise<void> {
  if (left.aborted) return
  const page: typeof globalThis & Page = globalThis
  const ended = new AbortController()
  const { signal } = ended
  await new Promise<void>((resolve) => {
    const begun = Date.now()
    const timer = setTimeout(resolve, whole)
    const wake = () => {
      if (!page.document?.hidden && Date.now() - begun >= asked) resolve()
    }
    for (const event of ['online', 'visibilitychange']) page.addEventListener?.(event, wake, { signal })
    left.addEventListener('abort', () => resolve(), { signal })
    signal.addEventListener('abort', () => clearTimeout(timer))
  })
  ended.abort()
}
