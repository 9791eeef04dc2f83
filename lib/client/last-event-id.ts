// Tested by test/issues/client-ends-for-good.test.ts
import { quote, SSEError } from './errors.js'

/** Control characters other than TAB, and DEL. `Headers` refuses them. */
const NOT_IN_A_HEADER = /[^\t -~\x80-\uffff]/
/**
 * The longest id that is sent, bytes. Node takes 16 KiB of headers in all, most other servers less. Above their limit some
 * reset the connection, which looks like a temporary failure, so that the client would retry for ever.
 */
const LONGEST = 16_384

/** The requirements on an id, for messages. */
export const LAST_EVENT_ID = `at most ${LONGEST} bytes, and no control characters`

/** Encodes an id as a header value, one character per byte of UTF-8. Undefined for an id that no header can hold. */
export function lastEventIdHeader (id: string): string | undefined {
  if (NOT_IN_A_HEADER.test(id)) return undefined
  const bytes = new TextEncoder().encode(id)
  // not in one call of `fromCharCode`, because too many arguments are a RangeError
  return bytes.length > LONGEST ? undefined : Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

/** Checks that the client can reconnect with an id. @throws SSE_ERR_LAST_EVENT_ID */
export function checkLastEventId (id: string | null): void {
  if (id && lastEventIdHeader(id) === undefined) throw new SSEError('SSE_ERR_LAST_EVENT_ID', `The last event's id ${quote(id)} cannot be sent back: a header takes ${LAST_EVENT_ID}`, { lastEventId: id })
}
