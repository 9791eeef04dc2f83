// Tested by test/client/reading.test.ts
export type SSEErrorCode = 'SSE_ERR_CONNECTION' | 'SSE_ERR_INACTIVITY_TIMEOUT' | 'SSE_ERR_NO_STREAM' | 'SSE_ERR_DATA' | 'SSE_ERR_LAST_EVENT_ID' | 'SSE_ERR_OPTION'

/** The fields that an SSEError may have besides `code` and `message`. */
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
  /**
   * The id to pass as the option `lastEventId` to resume after this error: the id of the last event that was yielded or
   * handled, or of the event that caused the error. Null if there is no id.
   */
  readonly lastEventId: string | null = null
  /**
   * The status of a response that is not an event stream. `headers` and `body` are those of the same response. `body` is
   * undefined if the body cannot be read. Errors for other reasons have none of the three fields.
   */
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

/** Creates the error for an option with a wrong value. `got` is the value as text. */
export function optionError (name: string, expected: string, got: string | number): SSEError {
  return new SSEError('SSE_ERR_OPTION', `The option "${name}" takes ${expected}, got ${got}`)
}

/** Shortens text from a server to 40 characters, for an error message. */
export function cut (text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

/** Shortens a text to 40 characters and puts it in quotes, for an error message. */
export function quote (text: string): string {
  return JSON.stringify(cut(text))
}

/** Returns the message of a thrown value, which may be an Error or anything else. */
export function messageOf (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
