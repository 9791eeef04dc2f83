import { quote, SSEError } from './errors.js'

/** Control characters but TAB, and DEL: `Headers` refuses them. */
const NOT_IN_A_HEADER = /[^\t -~\x80-\uffff]/
/**
 * The longest id that is sent back, bytes. Node takes 16 KiB of headers in all, most other servers less. Past that some
 * reset the connection, which is no different from a failure that may pass, so that the client would retry for ever.
 */
const LONGEST = 16_384

/** The requirements on an id, in the words of a message. */
export const LAST_EVENT_ID = `at most ${LONGEST} bytes, and no control characters`

/** The value of the header for an id, a character for each byte of its UTF-8; undefined where it cannot be one. */
export function lastEventIdHeader (id: string): string | undefined {
  if (NOT_IN_A_HEADER.test(id)) return undefined
  const bytes = new TextEncoder().encode(id)
  // as arguments of one call, many bytes are a RangeError
  return bytes.length > LONGEST ? undefined : Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

/** @throws SSE_ERR_LAST_EVENT_ID where the client cannot reconnect with an id */
export function checkLastEventId (id: string | null): void {
  if (id && lastEventIdHeader(id) === undefined) throw new SSEError('SSE_ERR_LAST_EVENT_ID', `The last event's id ${quote(id)} cannot be sent back: a header takes ${LAST_EVENT_ID}`, { lastEventId: id })
}
