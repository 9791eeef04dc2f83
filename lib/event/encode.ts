import { SSE_ERR_FIELD, SSE_ERR_CUSTOM_ID, SSE_ERR_PAYLOAD, SSE_ERR_SERIALIZATION, describeValue } from '../errors.js'
import { isResponse } from './fetch-response.js'

/**
 * One event of the text/event-stream format, before it is encoded
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
 * `encode` writes each field that is set, in the order id, event, comments, data, retry. Then it writes a blank line, which
 * ends the event.
 */
export interface SSEPayload<Data = unknown> {
  /**
   * The event's id: at most 8000 bytes of UTF-8. DEL and control characters other than TAB are refused, because clients send
   * the id back in a header. HTTP removes spaces and TABs at both ends of the id. An id of `''` makes a client forget its last event id.
   */
  id?: string | number
  /** The event's name, in browsers its `type`. CR, LF and NUL are refused. Default: `message`. For an empty string no `event:` line is written. */
  event?: string
  /** Comments, which clients ignore. Each line of their text is written as a line `: text`. */
  comments?: string | string[]
  /**
   * The event's data. A string is sent unchanged, unless the route declares a schema for this event and its type is not
   * `string`. The serializer converts all other data to text. Each line of the text becomes a line `data: text`.
   */
  data?: Data
  /** The delay that the client has to keep before it reconnects: whole milliseconds, 0 or more. */
  retry?: number
}

/** An event that the application sends: a payload object, or a string, which is short for `{ data: string }`. Null and undefined send nothing. */
export type SSEInput = SSEPayload | string | null | undefined

/** A function that encodes the data of one event as `data:` lines. Returns `''` for undefined data. `event` is the event's name, or `message` if it has none. */
export type DataWriter = (data: unknown, event: string) => string

/** A function that converts the data of an event to text, such as JSON.stringify. */
export type Serializer = (data: unknown) => string

const LINE_BREAK = /\r\n|\r|\n/
const NOT_IN_A_LINE = /[\r\n\0]/
/**
 * Matches a character that an id must not have: a control character other than TAB, or DEL. `fetch` does not put these
 * characters into a header. Node answers 400 to a request with them, and EventSource does not reconnect after a 400.
 * U+0080 to U+009F are allowed, because every client that was tried sends them back unchanged.
 */
const NOT_RETURNED = /[^\t -~\x80-\uffff]/
/**
 * The longest id, in bytes of UTF-8. Clients send the id back in a header. Node answers 431 to a request with more
 * than 16 KiB of headers, and EventSource does not reconnect after a 431. In requests of Chromium without cookies, Node took
 * ids of up to 15,800 bytes. nginx takes 8 KiB per header.
 */
const LONGEST_ID = 8_000
const A_SOURCE = 'which is a source: what is read to its end belongs in the option "source", or in reply.sse()'
const ID = `text of at most ${LONGEST_ID} bytes, without control characters (but TAB) and DEL`

/**
 * Creates the function that encodes event data on routes that declare no `events`. The created function writes
 * strings unchanged and converts other values to text by `serializer`. It throws SSE_ERR_SERIALIZATION if the serializer
 * throws or returns no string.
 */
export function plainData (serializer: Serializer = JSON.stringify): DataWriter {
  // JSON.stringify escapes all line breaks, so that its text is always one line
  const onOneLine = serializer === JSON.stringify
  return (data, event) => {
    if (data === undefined) return ''
    if (typeof data === 'string') return dataLines(data)
    const text = serialize(serializer, data, event)
    return onOneLine ? `data: ${text}\n` : dataLines(text)
  }
}

/** Encodes text as `data:` lines, one for each line of the text. The blank line that ends an event is not included. */
export function dataLines (text: string): string {
  return lines('data: ', text)
}

/**
 * Converts the data of an event to text by calling `serializer`. `event` is the event's name, for the error message.
 * @throws SSE_ERR_SERIALIZATION, with the serializer's error in `cause`. The message does not repeat the
 * serializer's error, which may quote the data, because the message is sent to the client if no stream is open yet.
 */
export function serialize (serializer: Serializer, data: unknown, event: string): string {
  let text: string
  try {
    text = serializer(data)
  } catch (cause) {
    refuseUnread(data, event)
    throw Object.assign(new SSE_ERR_SERIALIZATION(describeValue(event), `the serializer threw ${describeValue(cause)}`), { cause })
  }
  // JSON.stringify returns undefined for a function or a symbol
  if (typeof text !== 'string') throw new SSE_ERR_SERIALIZATION(describeValue(event), `the serializer gave ${describeValue(text)} for ${describeValue(data)}`)
  // checks data only if its text is `{}`, because for short data the check takes as long as the rest of this function
  if (text === '{}') refuseUnread(data, event)
  return text
}

/** Throws SSE_ERR_SERIALIZATION if the data is a promise or a source, such as a stream. JSON.stringify would convert both to `{}`, without their content. */
function refuseUnread (data: unknown, event: string): void {
  const what = unreadKind(data)
  if (what !== undefined) throw new SSE_ERR_SERIALIZATION(describeValue(event), `it is ${describeValue(data)}, ${what === 'promise' ? 'which has to be awaited before' : A_SOURCE}`)
}

/** Returns 'promise' for a value that has to be awaited, 'source' for a value that has to be read to its end, such as a web stream; undefined for others. */
function unreadKind (value: unknown): 'promise' | 'source' | undefined {
  if (typeof value !== 'object' || value === null) return
  if ('then' in value && typeof value.then === 'function') return 'promise'
  // a Map or a Set is not a source: it is iterable, but it has no `next`, because it holds its items
  if (Symbol.asyncIterator in value || (Symbol.iterator in value && 'next' in value) || 'getReader' in value || isResponse(value)) return 'source'
}

const writePlainData = plainData()

/**
 * Encodes one event as text. Hot path: it is called for everything that is sent.
 *
 * @param payload the event; `{}`, `null` and `undefined` are no event
 * @param writeData encodes the `data`
 * @returns the event's text, ready to send, or `''` for no event
 * @throws SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION, and the errors of `writeData`, all before anything is
 * written
 */
export function encode (payload: unknown, writeData: DataWriter = writePlainData): string {
  if (typeof payload === 'string') return encodeData(payload, writeData)
  if (payload === null || payload === undefined) return ''
  // arrays and buffers are refused here, because the loop of `refuseOtherFields` would list all their indices first
  if (typeof payload !== 'object' || Array.isArray(payload) || ArrayBuffer.isView(payload)) throw new SSE_ERR_PAYLOAD(describeValue(payload))
  refuseOtherFields(payload)
  const { id, event, comments, data, retry } = payload as SSEPayload
  let text = ''
  if (id !== undefined) text = idLine(id)
  if (event !== undefined) {
    if (typeof event !== 'string') throw new SSE_ERR_FIELD('event', 'a string', describeValue(event))
    if (event !== '') text += eventLine(event)
  }
  if (comments !== undefined) text += encodeComments(comments)
  // called for an event with a name and no data too, because `writeData` throws for a name that the route does not declare
  if (data !== undefined || event) text += writeData(data, event || 'message')
  if (retry !== undefined) text += encodeRetry(retry)
  if (text === '') return emptyOf(payload)
  return `${text}\n`
}

/**
 * Encodes a value as an event that has only data, and therefore the name `message`.
 *
 * @param item the data: any value that `writeData` takes, including `null`; `undefined` is no event
 * @returns the event's text, or `''` for no event
 * @throws SSE_ERR_SERIALIZATION, and SSE_ERR_UNKNOWN_EVENT if the route declares events, but not `message`
 */
export function encodeData (item: unknown, writeData: DataWriter): string {
  return item === undefined ? '' : `${writeData(item, 'message')}\n`
}

/** Returns the id that the application set on an event, as the text that `encode` writes; undefined for an event without an id. */
export function customIdOf (payload: unknown): string | undefined {
  const id = idOf(payload)
  return id === undefined ? id : String(id)
}

function idOf (payload: unknown): unknown {
  return typeof payload === 'object' && payload !== null ? (payload as SSEPayload).id : undefined
}

/**
 * Encodes an event that is published. The log of published events gives the event an id when it appends the event.
 * @throws SSE_ERR_CUSTOM_ID if the application set an id, SSE_ERR_PAYLOAD if the event has nothing to write, and the errors of
 * `encode`
 */
export function encodePublished (payload: unknown, writeData: DataWriter): string {
  assertNoCustomId(payload)
  const text = encode(payload, writeData)
  if (text === '') throw new SSE_ERR_PAYLOAD(`nothing to write, ${describeValue(payload)}`)
  return text
}

/**
 * Throws if the application set an id on an event whose id has to come from the log of published events.
 * @throws SSE_ERR_CUSTOM_ID; SSE_ERR_PAYLOAD if other fields show that the object is not a payload
 */
export function assertNoCustomId (payload: unknown): void {
  const id = idOf(payload)
  if (id === undefined) return
  refuseOtherFields(Object(payload))
  throw new SSE_ERR_CUSTOM_ID(describeValue(id))
}

/** Removes the `id:` line, which is the first line, from the text of an encoded event. @param id the event's id, as `customIdOf` returns it */
export function stripId (text: string, id: string): string {
  return text.slice(`id: ${id}\n`.length)
}

/**
 * Encodes a `retry:` line, which sets the client's reconnect delay, ms. Does not add a blank line.
 * @throws SSE_ERR_FIELD if `retry` is not a whole number of 0 or more
 */
export function encodeRetry (retry: number): string {
  // a number beyond the safe integers may be printed with an exponent, and clients ignore such a line
  if (!Number.isSafeInteger(retry) || retry < 0) throw new SSE_ERR_FIELD('retry', 'whole milliseconds, 0 or more', describeValue(retry))
  return `retry: ${retry}\n`
}

// The name and the result of the last call of `eventLine`, because most events have the name of the one before. Module state is
// harmless here, because the line depends on the name alone: apps that share it only compute it more often.
let lastName = ''
let lastLine = ''

function eventLine (name: string): string {
  if (name !== lastName) {
    // a name with a line break is refused, because the author of the name could inject events by it
    if (NOT_IN_A_LINE.test(name)) throw new SSE_ERR_FIELD('event', 'text without CR, LF and NUL', describeValue(name))
    lastLine = `event: ${name}\n`
    lastName = name
  }
  return lastLine
}

function encodeComments (comments: unknown): string {
  if (typeof comments === 'string') return lines(': ', comments)
  if (!Array.isArray(comments)) throw new SSE_ERR_FIELD('comments', 'a string or an array of strings', describeValue(comments))
  let text = ''
  for (const comment of comments) {
    if (typeof comment !== 'string') throw new SSE_ERR_FIELD('comments', 'a string or an array of strings', `an array with ${describeValue(comment)}`)
    text += lines(': ', comment)
  }
  return text
}

function idLine (id: unknown): string {
  if (typeof id === 'number') return `id: ${id}\n`
  if (typeof id !== 'string') throw new SSE_ERR_FIELD('id', 'a string or a number', describeValue(id))
  // counts bytes only for a long id, because UTF-8 takes at most three bytes for each UTF-16 unit of `length`
  if (NOT_RETURNED.test(id) || (id.length > LONGEST_ID / 3 && Buffer.byteLength(id) > LONGEST_ID)) throw new SSE_ERR_FIELD('id', ID, describeValue(id))
  return `id: ${id}\n`
}

function lines (prefix: string, value: string): string {
  // two calls of `includes` are faster than one search for the pattern, and most values have no line break
  if (!value.includes('\n') && !value.includes('\r')) return `${prefix}${value}\n`
  let text = ''
  for (const part of value.split(LINE_BREAK)) text += `${prefix}${part}\n`
  return text
}

/** Returns `''` for the empty object `{}`. Throws for an object of a class, such as a Date, a Map or a promise, because its content would be lost silently. */
function emptyOf (payload: object): '' {
  const prototype = Object.getPrototypeOf(payload)
  if (prototype !== Object.prototype && prototype !== null) throw noPayload(payload)
  return ''
}

/** Creates the error for an object that the application sent, but that is not an event. @param field a field of the object that no event has, if known */
function noPayload (payload: object, field?: string): Error {
  if (unreadKind(payload) === 'source') return new SSE_ERR_PAYLOAD(`${describeValue(payload)}, ${A_SOURCE}`)
  return new SSE_ERR_PAYLOAD(field === undefined ? describeValue(payload) : `${describeValue(payload)} with ${describeValue(field)}`)
}

/**
 * Throws if an object has a field that no event has, because the field would be lost silently. Hot path: `for in` with
 * comparisons takes 4 to 8 ns per event, `Object.keys()` or a Set twice as long.
 * @throws SSE_ERR_PAYLOAD
 */
function refuseOtherFields (payload: object): void {
  for (const key in payload) {
    if (key !== 'event' && key !== 'data' && key !== 'id' && key !== 'retry' && key !== 'comments' && isField(payload, key)) {
      throw noPayload(payload, key)
    }
  }
}

/**
 * Returns true if `key` is a field of the payload: an own property, or an inherited value, as in a MessageEvent. Inherited
 * methods and additions to Object.prototype are no fields.
 */
function isField (payload: object, key: string): boolean {
  return Object.hasOwn(payload, key) || !(key in Object.prototype || typeof Reflect.get(payload, key) === 'function')
}
