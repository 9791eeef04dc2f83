// Tested by test/client/reading.test.ts
import { createParser } from 'eventsource-parser'
import type { SSEMessage } from './types.js'

/** A message, and the last event id after it. `message` is undefined for an id without data. */
export interface RawEvent {
  message: SSEMessage | undefined
  lastEventId: string | null
}

/** Parses event streams, one after the other. Keeps the last event id and the delay of the last `retry:` when the next stream begins. */
export class EventParser {
  /** The id after which to resume: the id of the last complete event, with or without data. Null if there is no id. */
  lastEventId: string | null
  /** The reconnect delay that the server set by its last `retry:`, ms; undefined if it sent none. */
  retry: number | undefined
  #events: SSEMessage[] = []
  #parser = createParser({
    onEvent: ({ id, event = 'message', data }) => { this.#events.push({ id, event, data }) },
    onRetry: (retry) => { this.retry = retry }
  })

  /** The last id that was read. It becomes `lastEventId` when its event is complete. */
  #id: string | null = null
  /** The beginning of a line whose end has not been read yet. */
  #line = ''
  /** True if the last part of the stream ended in CR. An LF at the start of the next part then belongs to the same line break. */
  #endsInCR = false

  constructor (lastEventId: string | null) {
    this.lastEventId = lastEventId
  }

  /** Starts to parse a new stream. An event that was incomplete at the end of the previous stream is dropped. */
  begin (): void {
    this.#parser.reset()
    // empty, because eventsource-parser searches the first text for the bytes of a byte order mark, which TextDecoder has removed already
    this.#parser.feed('')
    this.#id = this.lastEventId
    this.#line = ''
    this.#endsInCR = false
  }

  /**
   * Yields the events that this part of the stream completes, and ids without an event that change `lastEventId`. Sets
   * `lastEventId` before it yields.
   *
   * Reads `id:` lines without eventsource-parser, which reports only events with data. By the standard the id of an event
   * without data counts too (section 9.2.6, "dispatch the event"), and a stream with topics sends `id:` lines without data.
   */
  * read (text: string): Generator<RawEvent, void> {
    const lines = this.#withLF(text)
    let [start, parsed] = [0, 0]
    for (let end = lines.indexOf('\n'); end >= 0; end = lines.indexOf('\n', start)) {
      const line = this.#line + lines.slice(start, end)
      this.#line = ''
      start = end + 1
      if (/^id(?::|$)/.test(line) && !line.includes('\0')) this.#id = line.slice(3).replace(/^ /, '')
      if (line !== '') continue
      const lastEventId = this.#id
      const isNewId = this.lastEventId !== lastEventId
      this.lastEventId = lastEventId
      this.#parser.feed(lines.slice(parsed, start))
      parsed = start
      // the event that ended with this line; undefined if it had no data
      const message = this.#events.pop()
      if (message !== undefined || isNewId) yield { message, lastEventId }
    }
    this.#parser.feed(lines.slice(parsed))
    this.#line += lines.slice(start)
  }

  /** Replaces CR and CRLF by LF. By the standard a CR ends its line at once (section 9.2.5), but eventsource-parser waits for the next character. */
  #withLF (text: string): string {
    const rest = this.#endsInCR && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') this.#endsInCR = text.endsWith('\r')
    return rest.replace(/\r\n?/g, '\n')
  }
}
