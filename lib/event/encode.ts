import { SSE_ERR_FIELD, SSE_ERR_CUSTOM_ID, SSE_ERR_PAYLOAD, SSE_ERR_SERIALIZATION, describeValue } from '../errors.js'
import { isResponse } from './upstream.js'

/**
 * One event, as the standard's text/event-stream format has it
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
 * Written in the order id, event, comments, data, retry, then a blank line.
 */
export interface SSEPayload<Data = unknown> {
  /**
   * Text that a client can send back in a header: at most 8000 bytes of UTF-8, without control characters (but TAB) and
   * DEL. HTTP removes spaces and TABs at its ends. `''` resets the client's last event id.
   */
  id?: string | number
  /** Any text without CR, LF and NUL; `''` is not written. What a client calls the event's type. */
  event?: string
  /** Each becomes a line `: text`; line breaks split it into several. */
  comments?: string | string[]
  /** A string goes as it is, anything else through the serializer; line breaks split it into several `data:` lines. */
  data?: Data
  /** How long the client waits before it reconnects: whole milliseconds, 0 or more. */
  retry?: number
}

/** What may stand for an event: a payload, a string for `{ data: string }`, or nothing. */
export type SSEInput = SSEPayload | string | null | undefined

/** Makes the `data:` lines of an event, `''` if it has no data; `event` is its name, `message` where that is not given. */
export type DataWriter = (data: unknown, event: string) => string

/** Makes text of data that is not a string. */
export type Serializer = (data: unknown) => string

const LINE_BREAK = /\r\n|\r|\n/
const NOT_IN_A_LINE = /[\r\n\0]/
/**
 * Control characters but TAB, and DEL: fetch does not put them into a header, and Node answers 400, which is final for
 * EventSource. U+0080 to U+009F return unchanged from every client that was tried.
 */
const NOT_RETURNED = /[^\t -~\x80-\uffff]/
/**
 * The longest id, bytes of UTF-8. Node answers 431, which is final for EventSource, where all headers of a request have
 * more than 16 KiB: it took ids of up to 15,800 bytes from Chromium without cookies. nginx takes 8 KiB per header.
 */
const LONGEST_ID = 8_000
const A_SOURCE = 'which is a source: what is read to its end belongs in the option "source", or in reply.sse()'
const ID = `text of at most ${LONGEST_ID} bytes, without control characters (but TAB) and DEL`

/**
 * The data writer of a stream that declares no events: strings as they are, the rest through `serializer`.
 * @throws SSE_ERR_SERIALIZATION where that throws or gives no string
 */
export function plainData (serializer: Serializer = JSON.stringify): DataWriter {
  // which escapes every line break
  const onOneLine = serializer === JSON.stringify
  return (data, event) => {
    if (data === undefined) return ''
    if (typeof data === 'string') return dataLines(data)
    const text = serialize(serializer, data, event)
    return onOneLine ? `data: ${text}\n` : dataLines(text)
  }
}

/** A text as the data of an event. */
export function dataLines (text: string): string {
  return lines('data: ', text)
}

/**
 * Calls a serializer.
 * @throws SSE_ERR_SERIALIZATION, whose `cause` has what the serializer threw. Its message does not repeat that, because
 * it may quote the data, and the message of an error is sent to the client where no stream is open yet.
 */
export function serialize (serializer: Serializer, data: unknown, event: string): string {
  let text: string
  try {
    text = serializer(data)
  } catch (cause) {
    refuseUnread(data, event)
    throw Object.assign(new SSE_ERR_SERIALIZATION(describeValue(event), `the serializer threw ${describeValue(cause)}`), { cause })
  }
  // JSON.stringify answers undefined for a function or a symbol
  if (typeof text !== 'string') throw new SSE_ERR_SERIALIZATION(describeValue(event), `the serializer gave ${describeValue(text)} for ${describeValue(data)}`)
  // only here, because the check would cost as much as the rest for data that is short
  if (text === '{}') refuseUnread(data, event)
  return text
}

/** Refuses data that has to be awaited or read before there is anything to send: JSON has nothing of it. */
function refuseUnread (data: unknown, event: string): void {
  const what = unreadKind(data)
  if (what !== undefined) throw new SSE_ERR_SERIALIZATION(describeValue(event), `it is ${describeValue(data)}, ${what === 'promise' ? 'which has to be awaited before' : A_SOURCE}`)
}

/** What a value is that does not hold anything yet. */
function unreadKind (value: unknown): 'promise' | 'source' | undefined {
  if (typeof value !== 'object' || value === null) return
  if ('then' in value && typeof value.then === 'function') return 'promise'
  // a Map and a Set are no such sources, because they hold all that they give
  if (Symbol.asyncIterator in value || (Symbol.iterator in value && 'next' in value) || 'getReader' in value || isResponse(value)) return 'source'
}

const writePlainData = plainData()

/**
 * Encodes one event. Hot path of everything that is sent.
 *
 * @param payload what to write; `{}`, `null` and `undefined` write nothing
 * @param writeData makes the lines of `data`
 * @returns the event's text, ready for the wire, or `''` where there is nothing to write
 * @throws SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION, all before anything is written
 */
export function encode (payload: unknown, writeData: DataWriter = writePlainData): string {
  if (typeof payload === 'string') return encodeData(payload, writeData)
  if (payload === null || payload === undefined) return ''
  // a buffer's indices would all be listed before the first is refused
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
  // a name alone is an event as well, and may be one that is not declared
  if (data !== undefined || event) text += writeData(data, event || 'message')
  if (retry !== undefined) text += encodeRetry(retry)
  if (text === '') return nothing(payload)
  return `${text}\n`
}

/**
 * Encodes an item that is data, and no payload with fields: an event `message`.
 *
 * @param item anything that `writeData` takes, `null` too; `undefined` writes nothing
 * @returns the event's text, or `''`
 * @throws SSE_ERR_SERIALIZATION, and SSE_ERR_UNKNOWN_EVENT where other events are declared
 */
export function encodeData (item: unknown, writeData: DataWriter): string {
  return item === undefined ? '' : `${writeData(item, 'message')}\n`
}

/** The id that a payload has of its own; the payload is one that was encoded. */
export function customIdOf (payload: unknown): string | undefined {
  const id = idOf(payload)
  return id === undefined ? id : String(id)
}

function idOf (payload: unknown): unknown {
  return typeof payload === 'object' && payload !== null ? (payload as SSEPayload).id : undefined
}

/**
 * Encodes an event that is published: it has no id of its own, and says something.
 * @throws SSE_ERR_CUSTOM_ID, and what `encode` throws
 */
export function encodePublished (payload: unknown, writeData: DataWriter): string {
  assertNoCustomId(payload)
  const text = encode(payload, writeData)
  if (text === '') throw new SSE_ERR_PAYLOAD(`nothing to write, ${describeValue(payload)}`)
  return text
}

/**
 * Refuses an id in an event that has its id from the log.
 * @throws SSE_ERR_CUSTOM_ID; SSE_ERR_PAYLOAD where other fields show that the object is no payload at all
 */
export function assertNoCustomId (payload: unknown): void {
  const id = idOf(payload)
  if (id === undefined) return
  refuseOtherFields(Object(payload))
  throw new SSE_ERR_CUSTOM_ID(describeValue(id))
}

/** The text of an encoded event without its id, which is the first line. @param id as `customIdOf` returns it */
export function stripId (text: string, id: string): string {
  return text.slice(`id: ${id}\n`.length)
}

/**
 * The `retry:` line, without a blank line after it.
 * @throws SSE_ERR_FIELD
 */
export function encodeRetry (retry: number): string {
  // past the safe integers a number prints with an exponent, which a client ignores
  if (!Number.isSafeInteger(retry) || retry < 0) throw new SSE_ERR_FIELD('retry', 'whole milliseconds, 0 or more', describeValue(retry))
  return `retry: ${retry}\n`
}

// most events have the name of the one before
let lastName = ''
let lastLine = ''

function eventLine (name: string): string {
  if (name !== lastName) {
    // a line break in it would let its author write events of their own
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
  // a character has at most three bytes per unit of its length
  if (NOT_RETURNED.test(id) || (id.length > LONGEST_ID / 3 && Buffer.byteLength(id) > LONGEST_ID)) throw new SSE_ERR_FIELD('id', ID, describeValue(id))
  return `id: ${id}\n`
}

function lines (prefix: string, value: string): string {
  // two plain searches are faster than the pattern, and most values have no line break
  if (!value.includes('\n') && !value.includes('\r')) return `${prefix}${value}\n`
  let text = ''
  for (const part of value.split(LINE_BREAK)) text += `${prefix}${part}\n`
  return text
}

/** Nothing to write is fine for `{}`; for a Date, a Map or a promise it would be a silent loss. */
function nothing (payload: object): '' {
  const prototype = Object.getPrototypeOf(payload)
  if (prototype !== Object.prototype && prototype !== null) throw noPayload(payload)
  return ''
}

/** @param field one that no event has */
function noPayload (payload: object, field?: string): Error {
  if (unreadKind(payload) === 'source') return new SSE_ERR_PAYLOAD(`${describeValue(payload)}, ${A_SOURCE}`)
  return new SSE_ERR_PAYLOAD(field === undefined ? describeValue(payload) : `${describeValue(payload)} with ${describeValue(field)}`)
}

/**
 * Refuses a field that no event has, because it would be lost in silence. Hot path: `for in` with comparisons costs 4
 * to 8 ns per event, `Object.keys()` or a Set twice as much.
 * @throws SSE_ERR_PAYLOAD
 */
function refuseOtherFields (payload: object): void {
  for (const key in payload) {
    if (key !== 'event' && key !== 'data' && key !== 'id' && key !== 'retry' && key !== 'comments' && isField(payload, key)) {
      throw noPayload(payload, key)
    }
  }
}

/** Inherited values are fields as well, as all those of a MessageEvent; but no methods, and nothing that some code has added to every object. */
function isField (payload: object, key: string): boolean {
  return Object.hasOwn(payload, key) || !(key in Object.prototype || typeof Reflect.get(payload, key) === 'function')
}
