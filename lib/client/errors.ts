export type SSEErrorCode = 'SSE_ERR_CONNECTION' | 'SSE_ERR_SILENCE' | 'SSE_ERR_NO_STREAM' | 'SSE_ERR_DATA' | 'SSE_ERR_LAST_EVENT_ID' | 'SSE_ERR_OPTION'

/**
 * What went wrong, by its `code`: `SSE_ERR_CONNECTION`, no connection came about, or it broke off (`cause` says why);
 * `SSE_ERR_SILENCE`, nothing came for as long as `silence` says; `SSE_ERR_NO_STREAM`, the answer is no event stream;
 * `SSE_ERR_DATA`, an event's data is no JSON; `SSE_ERR_LAST_EVENT_ID`, the last event's id cannot be sent back;
 * `SSE_ERR_OPTION`, an option is out of its range.
 */
export class SSEError extends Error {
  readonly code: SSEErrorCode
  /** The answer's, where there was one that is no event stream. */
  declare readonly status?: number
  declare readonly headers?: Headers
  declare readonly body?: string

  constructor (code: SSEErrorCode, message: string, details: { cause?: unknown, status?: number, headers?: Headers, body?: string } = {}) {
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
