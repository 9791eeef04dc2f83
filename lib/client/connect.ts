// Tested by test/client/coming-back.test.ts
import { Connection } from './connection.js'
import type { SSEError } from './errors.js'
import { EventParser, type RawEvent } from './event-parser.js'
import { checkLastEventId, lastEventIdHeader } from './last-event-id.js'
import type { Settings } from './options.js'
import { backoff, isRetryable, wait } from './retry.js'

/**
 * Connects, and reconnects after the stream has ended or failed, with the id of the last event. Yields the messages that
 * each part of a stream completes; take all of them before the next part. Ends after a 204, when `signal` aborts, and
 * after a clean end without `reconnect`. Throws the failure after which the client gives up.
 */
export async function * connect (url: string | URL, settings: Settings, lastEventId: string | null, signal: AbortSignal): AsyncGenerator<Iterable<RawEvent>, undefined> {
  // a variable, because browsers refuse a call of their `fetch` as a method of another object
  const { fetch } = settings
  const parser = new EventParser(lastEventId)
  let failures = 0
  for (let attempt = 1; !signal.aborted; attempt++) {
    const connection = new Connection(settings.inactivityTimeout, signal)
    try {
      const response = await connection.open(async (signal) => fetch(url, await requestOf(settings, attempt, parser.lastEventId, signal)), settings.reconnect)
      if (response?.status === 204) return
      if (response !== null) await settings.onOpen?.({ response, attempt, lastEventId: parser.lastEventId })
      parser.begin()
      for (let text = response && await connection.read(); text !== null; text = await connection.read()) {
        failures = 0
        yield parser.read(text)
      }
    } finally {
      connection.close()
    }
    if (signal.aborted) return
    const { lastEventId } = parser
    const failure = connection.failure && Object.assign(connection.failure, { lastEventId })
    if (failure === null && !settings.reconnect) return
    if (failure !== null && (++failures > settings.maxRetries || !await isRetried(failure, attempt, settings))) throw failure
    if (signal.aborted) return
    checkLastEventId(lastEventId)
    const delay = backoff(settings, failures, parser.retry, failure)
    await settings.onRetry?.({ delay: delay.total, attempt: attempt + 1, error: failure ?? undefined })
    await wait(delay, signal)
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
