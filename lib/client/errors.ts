export type SSEErrorCode = 'SSE_ERR_CONNECTION' | 'SSE_ERR_INACTIVITY_TIMEOUT' | 'SSE_ERR_NO_STREAM' | 'SSE_ERR_DATA' | 'SSE_ERR_LAST_EVENT_ID' | 'SSE_ERR_OPTION'

/** Optional fields of an SSEError, besides its code and message. */
type Details = Partial<Pick<SSEError, 'cause' | 'status' | 'headers' | 'body' | 'lastEventId'>>

/**
 * What went wrong, by its `code`: `SSE_ERR_CONNECTION`, no connection came about, or it broke off (`cause` says why);
 * `SSE_ERR_INACTIVITY_TIMEOUT`, nothing came for `inactivityTimeout` ms; `SSE_ERR_NO_STREAM`, the response is no event
 * stream, or has no readable body; `SSE_ERR_DATA`, an event's data is not JSON; `SSE_ERR_LAST_EVENT_ID`, the last
 * event's id cannot be sent back; `SSE_ERR_OPTION`, the options make no request that can succeed.
 */
export class SSEError extends Error {
  readonly code: SSEErrorCode
  /** Id of the last event that was yielded or handled, or that this error is about: pass it as `lastEventId` to resume. Null where there is none. */
  readonly lastEventId: string | null = null
  /** Those of the response, where it is no event stream. `body` is undefined where it cannot be read. */
  declare readonly status?: number
  declare readonly headers?: Headers
  declare readonly body?: string | undefined

  constructor (code: SSEErrorCode, message: string, details: Details = {}) {
    super(message)
    this.name = 'SSEError'
    this.code = code
    Object.assign(this, details)
  }
}

/** A server's text in a message: its first 40 characters. */
export function cut (text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

/** The same in quotes. */
export function quote (text: string): string {
  return JSON.stringify(cut(text))
}

/** The message of anything that was thrown. */
export function messageOf (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
