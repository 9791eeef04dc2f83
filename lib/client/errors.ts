// Tested by test/client/reading.test.ts
export type SSEErrorCode = 'SSE_ERR_CONNECTION' | 'SSE_ERR_INACTIVITY_TIMEOUT' | 'SSE_ERR_NO_STREAM' | 'SSE_ERR_DATA' | 'SSE_ERR_LAST_EVENT_ID' | 'SSE_ERR_OPTION'

/** Optional fields of an SSEError. */
type Details = Partial<Pick<SSEError, 'cause' | 'status' | 'headers' | 'body' | 'lastEventId'>>

/**
 * An error of the client. Its `code` is one of
 * `SSE_ERR_CONNECTION`: the connection failed or broke (see `cause`);
 * `SSE_ERR_INACTIVITY_TIMEOUT`: no byte arrived for `inactivityTimeout` ms;
 * `SSE_ERR_NO_STREAM`: the response is not an event stream, or has no readable body;
 * `SSE_ERR_DATA`: the data of an event is not JSON;
 * `SSE_ERR_LAST_EVENT_ID`: the id of the last event cannot be sent in a header;
 * `SSE_ERR_OPTION`: with these options no request can succeed.
 */
export class SSEError extends Error {
  readonly code: SSEErrorCode
  /** Id of the last event that was yielded or handled, or of the event that failed: pass it as `lastEventId` to resume. Null for none. */
  readonly lastEventId: string | null = null
  /** Status, headers and body of a response that is not an event stream. `body` is undefined if it cannot be read. */
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

/** Shortens a server's text for a message, to 40 characters. */
export function cut (text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

/** Shortens a text and puts it in quotes. */
export function quote (text: string): string {
  return JSON.stringify(cut(text))
}

/** The message of any value that was thrown. */
export function messageOf (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
