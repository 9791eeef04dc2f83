import { SSE_ERR_FIELD, SSE_ERR_CUSTOM_ID, SSE_ERR_PAYLOAD, SSE_ERR_SERIALIZATION, describeValue } from '../errors.js'
import { isResponse } from './fetch-response.js'

/**
 * One event of the text/event-stream format
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
 * The fields are written in the order id, event, comments, data, retry; a blank line ends the event.
 */
export interface SSEPayload<Data = unknown> {
  /**
   * Text that a client can send back in a header: at most 8000 bytes of UTF-8, without control characters (but TAB) and
   * DEL. HTTP removes spaces and TABs at both ends. `''` resets the client's last event id.
   */
  id?: string | number
  /** The event's name, which clients call its type: text without CR, LF and NUL. `''` is not written. */
  event?: string
  /** Comments. Each line of their text becomes a line `: text`. */
  comments?: string | string[]
  /** A string is written as it is, other values by the serializer. Each line of the text becomes a line `data: text`. */
  data?: Data
  /** The client's delay before it reconnects: whole milliseconds, 0 or more. */
  retry?: number
}

/** An event to send: a payload, a string for `{ data: string }`, or nothing. */
export type SSEInput = SSEPayload | string | null | undefined

/** Encodes the data of an event as `data:` lines; `''` for no data. `event` is the event's name, by default `message`. */
export type DataWriter = (data: unknown, event: string) => string

/** Converts data that is not a string to text. */
export type Serializer = (data: unknown) => string

const LINE_BREAK = /\r\n|\r|\n/
const NOT_IN_A_LINE = /[\r\n\0]/
/**
 * Control characters other than TAB, and DEL. fetch does not put them into a header, and Node answers 400 to them, after
 * which EventSource does not reconnect. Every client that was tried returns U+0080 to U+009F unchanged.
 */
const NOT_RETURNED = /[^\t -~\x80-\uffff]/
/**
 * The longest id, bytes of UTF-8. Node answers 431 to a request with more than 16 KiB of headers, after which EventSource
 * does not reconnect: it took ids of up to 15,800 bytes from Chromium without cookies. nginx takes 8 KiB per header.
 */
const LONGEST_ID = 8_000
const A_SOURCE = 'which is a source: what is read to its end belongs in the option "source", or in reply.sse()'
const ID = `text of at most ${LONGEST_ID} bytes, without control characters (but TAB) and DEL`

/**
 * The data writer of a stream that declares no events: writes strings as they are and other values by `serializer`.
 * The writer throws SSE_ERR_SERIALIZATION if the serializer throws or returns no string.
 */
export function plainData (serializer: Serializer = JSON.stringify): DataWriter {
  // JSON.stringify escapes all line breaks
  const onOneLine = serializer === JSON.stringify
  return (data, event) => {
    if (data === undefined) return ''
    if (typeof data === 'string') return dataLines(data)
    const text = serialize(serializer, data, event)
    return onOneLine ? `data: ${text}\n` : dataLines(text)
  }
}

/** Encodes text as the `data:` lines of an event. */
export function dataLines (text: string): string {
  return lines('data: ', text)
}

/**
 * Calls a serializer.
 * @throws SSE_ERR_SERIALIZATION, with the serializer's error in `cause`. The message does not repeat that error, because it
 * may quote the data, and before a stream is open the message is sent to the client.
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
  // checked for `{}` only, because for short data the check costs as much as the rest
  if (text === '{}') refuseUnread(data, event)
  return text
}

/** Refuses a promise or a source as data, because JSON of it is `{}`. */
function refuseUnread (data: unknown, event: string): void {
  const what = unreadKind(data)
  if (what !== undefined) throw new SSE_ERR_SERIALIZATION(describeValue(event), `it is ${describeValue(data)}, ${what === 'promise' ? 'which has to be awaited before' : A_SOURCE}`)
}

/** The kind of a value that has to be awaited or read first; undefined for any other value. */
function unreadKind (value: unknown): 'promise' | 'source' | undefined {
  if (typeof value !== 'object' || value === null) return
  if ('then' in value && typeof value.then === 'function') return 'promise'
  // not a Map or a Set, which hold their items
  if (Symbol.asyncIterator in value || (Symbol.iterator in value && 'next' in value) || 'getReader' in value || isResponse(value)) return 'source'
}

const writePlainData = plainData()

/**
 * Encodes one event. Hot path of everything that is sent.
 *
 * @param payload the event; `{}`, `null` and `undefined` are no event
 * @param writeData encodes the `data`
 * @returns the event's text, ready to send, or `''` for no event
 * @throws SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION, and what `writeData` throws, all before anything is written
 */
export function encode (payload: unknown, writeData: DataWriter = writePlainData): string {
  if (typeof payload === 'string') return encodeData(payload, writeData)
  if (payload === null || payload === undefined) return ''
  // buffers are refused here, because the loop below would list all their indices first
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
  // also without data, because an event with a name alone has to be declared as well
  if (data !== undefined || event) text += writeData(data, event || 'message')
  if (retry !== undefined) text += encodeRetry(retry)
  if (text === '') return emptyOf(payload)
  return `${text}\n`
}

/**
 * Encodes data, without other fields, as an event `message`.
 *
 * @param item anything that `writeData` takes, including `null`; `undefined` is no event
 * @returns the event's text, or `''` for no event
 * @throws SSE_ERR_SERIALIZATION, and SSE_ERR_UNKNOWN_EVENT if the route declares events, but not `message`
 */
export function encodeData (item: unknown, writeData: DataWriter): string {
  return item === undefined ? '' : `${writeData(item, 'message')}\n`
}

/** The custom id of a payload, as it was encoded; undefined for none. */
export function customIdOf (payload: unknown): string | undefined {
  const id = idOf(payload)
  return id === undefined ? id : String(id)
}

function idOf (payload: unknown): unknown {
  return typeof payload === 'object' && payload !== null ? (payload as SSEPayload).id : undefined
}

/**
 * Encodes an event for the log. It has no custom id and is not empty.
 * @throws SSE_ERR_CUSTOM_ID, SSE_ERR_PAYLOAD for an empty one, and what `encode` throws
 */
export function encodePublished (payload: unknown, writeData: DataWriter): string {
  assertNoCustomId(payload)
  const text = encode(payload, writeData)
  if (text === '') throw new SSE_ERR_PAYLOAD(`nothing to write, ${describeValue(payload)}`)
  return text
}

/**
 * Refuses a custom id in an event whose id comes from the log.
 * @throws SSE_ERR_CUSTOM_ID; SSE_ERR_PAYLOAD if other fields show that the object is not a payload
 */
export function assertNoCustomId (payload: unknown): void {
  const id = idOf(payload)
  if (id === undefined) return
  refuseOtherFields(Object(payload))
  throw new SSE_ERR_CUSTOM_ID(describeValue(id))
}

/** Removes the id from the text of an encoded event: its first line. @param id as `customIdOf` returns it */
export function stripId (text: string, id: string): string {
  return text.slice(`id: ${id}\n`.length)
}

/**
 * Encodes the `retry:` line, without a blank line after it.
 * @throws SSE_ERR_FIELD
 */
export function encodeRetry (retry: number): string {
  // beyond the safe integers a number prints with an exponent, and clients ignore the line
  if (!Number.isSafeInteger(retry) || retry < 0) throw new SSE_ERR_FIELD('retry', 'whole milliseconds, 0 or more', describeValue(retry))
  return `retry: ${retry}\n`
}

// The line of the last event name, because most events have the name of the one before. Module state is harmless here: the
// line depends on the name alone, so that apps that share it only compute it more often.
let lastName = ''
let lastLine = ''

function eventLine (name: string): string {
  if (name !== lastName) {
    // with a line break in a name its author could inject events
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
  // UTF-8 takes at most three bytes for each UTF-16 unit of `length`
  if (NOT_RETURNED.test(id) || (id.length > LONGEST_ID / 3 && Buffer.byteLength(id) > LONGEST_ID)) throw new SSE_ERR_FIELD('id', ID, describeValue(id))
  return `id: ${id}\n`
}

function lines (prefix: string, value: string): string {
  // two searches are faster than the pattern, and most values have no line break
  if (!value.includes('\n') && !value.includes('\r')) return `${prefix}${value}\n`
  let text = ''
  for (const part of value.split(LINE_BREAK)) text += `${prefix}${part}\n`
  return text
}

/** Returns `''` for `{}`. Refuses a Date, a Map or a promise, which would be lost silently. */
function emptyOf (payload: object): '' {
  const prototype = Object.getPrototypeOf(payload)
  if (prototype !== Object.prototype && prototype !== null) throw noPayload(payload)
  return ''
}

/** The error for an object that is not a payload. @param field a field that no event has */
function noPayload (payload: object, field?: string): Error {
  if (unreadKind(payload) === 'source') return new SSE_ERR_PAYLOAD(`${describeValue(payload)}, ${A_SOURCE}`)
  return new SSE_ERR_PAYLOAD(field === undefined ? describeValue(payload) : `${describeValue(payload)} with ${describeValue(field)}`)
}

/**
 * Refuses a field that no event has, because it would be lost silently. Hot path: `for in` with comparisons takes 4 to
 * 8 ns per event, `Object.keys()` or a Set twice as long.
 * @throws SSE_ERR_PAYLOAD
 */
function refuseOtherFields (payload: object): void {
  for (const key in payload) {
    if (key !== 'event' && key !== 'data' && key !== 'id' && key !== 'retry' && key !== 'comments' && isField(payload, key)) {
      throw noPayload(payload, key)
    }
  }
}

/** Inherited values are fields too, such as those of a MessageEvent. Methods, and additions to Object.prototype, are not. */
function isField (payload: object, key: string): boolean {
  return Object.hasOwn(payload, key) || !(key in Object.prototype || typeof Reflect.get(payload, key) === 'function')
}
