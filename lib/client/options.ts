import { quote, SSEError } from './errors.js'
import { LAST_EVENT_ID, lastEventIdHeader } from './last-event-id.js'
import type { SSEClientOptions, SSERetry } from './types.js'

/** The options, checked, with their defaults. */
export type Settings = SSEClientOptions & Required<SSERetry> & { method: string, reconnect: boolean, silence: number, text: true | readonly string[] }

/** @throws SSE_ERR_OPTION */
export function readOptions ({ retry = {}, text = [], ...options }: SSEClientOptions & { text?: true | readonly string[] }): Settings {
  const { delay = 1_000, maxDelay = 30_000, tries = Infinity } = retry
  const { method = 'GET', silence = 45_000, lastEventId } = options
  for (const [name, value] of Object.entries({ 'retry.delay': delay, 'retry.maxDelay': maxDelay, 'retry.tries': tries, silence })) {
    // not so for NaN either
    if (!(value >= 0)) throw new SSEError('SSE_ERR_OPTION', `The option "${name}" takes a number from 0 on, got ${value}`)
  }
  if (lastEventId && lastEventIdHeader(lastEventId) === undefined) throw new SSEError('SSE_ERR_OPTION', `The option "lastEventId" takes text of ${LAST_EVENT_ID}, got ${quote(lastEventId)}`)
  return { reconnect: method.toUpperCase() === 'GET', ...options, method, silence, text, delay, maxDelay, tries }
}
