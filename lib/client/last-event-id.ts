// Tested by test/issues/client-ends-for-good.test.ts
import { quote, SSEError } from './errors.js'

/** Matches a character that `Headers` refuses in a value: a control character other than TAB, or DEL. */
const NOT_IN_A_HEADER = /[^\t -~\x80-\uffff]/
/**
 * The longest id that the client sends, in bytes. Node takes 16 KiB of headers in all, most other servers take less. Some
 * servers reset the connection if the headers exceed their limit. A reset looks like a temporary failure, and the client
 * would retry for ever.
 */
const LONGEST = 16_384

/** The requirements on a last event id, as text for error messages. */
export const LAST_EVENT_ID = `text of at most ${LONGEST} bytes, without control characters`

/** Encodes an id as a header value, one character for each byte of UTF-8. Returns undefined for an id that no header can hold or that is too long. */
export function lastEventIdHeader (id: string): string | undefined {
  if (NOT_IN_A_HEADER.test(id)) return undefined
  const bytes = new TextEncoder().encode(id)
  // converts byte by byte, because one call of `fromCharCode` with too many arguments is a RangeError
  return bytes.length > LONGEST ? undefined : Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

/** Throws an error if the header Last-Event-ID cannot hold an id. The client could not send this id when it reconnects. @throws SSE_ERR_LAST_EVENT_ID */
export function checkLastEventId (id: string | null): void {
  if (id && lastEventIdHeader(id) === undefined) throw new SSEError('SSE_ERR_LAST_EVENT_ID', `The last event's id ${quote(id)} cannot be sent back: a header takes ${LAST_EVENT_ID}`, { lastEventId: id })
}
