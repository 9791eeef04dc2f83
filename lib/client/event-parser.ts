// Tested by test/client/reading.test.ts
import { createParser } from 'eventsource-parser'
import type { SSEMessage } from './types.js'

/** Parses event streams, one after the other. Keeps the last event id and `retry:` across reconnects. */
export class EventParser {
  /** Id of the last event, including events without data, which `read` does not yield: the position to resume from. */
  lastEventId: string | null
  /** Reconnect delay from the server's last `retry:`, ms. */
  retry: number | undefined
  #events: SSEMessage[] = []
  #parser = createParser({
    onEvent: ({ id, event = 'message', data }) => { this.#events.push({ id, event, data }) },
    onRetry: (retry) => { this.retry = retry }
  })

  /** The id of the event that is being read. It becomes `lastEventId` at the end of that event. */
  #id: string | null = null
  /** Start of a line whose end has not been read. */
  #line = ''
  /** The last part ended in CR, so that a LF at the start of the next part belongs to the same line break. */
  #endsInCR = false

  constructor (lastEventId: string | null) {
    this.lastEventId = lastEventId
  }

  /** Starts a new stream. An event that the stream before left incomplete is dropped. */
  begin (): void {
    this.#parser.reset()
    // so that the first text is not searched for the bytes of a byte order mark, which the decoder has removed
    this.#parser.feed('')
    this.#id = this.lastEventId
    this.#line = ''
    this.#endsInCR = false
  }

  /**
   * Yields the events that this part of the stream completes; `lastEventId` advances with each.
   *
   * eventsource-parser reports only events with data. By the standard the ids of other events count too (section 9.2.6,
   * "dispatch the event"), and a stream with topics sends `id:` lines without data.
   */
  * read (text: string): Generator<SSEMessage, void> {
    const lines = this.#withLF(text)
    let [start, parsed] = [0, 0]
    for (let end = lines.indexOf('\n'); end >= 0; end = lines.indexOf('\n', start)) {
      const line = this.#line + lines.slice(start, end)
      this.#line = ''
      start = end + 1
      if (/^id(?::|$)/.test(line) && !line.includes('\0')) this.#id = line.slice(3).replace(/^ /, '')
      if (line !== '') continue
      this.lastEventId = this.#id
      this.#parser.feed(lines.slice(parsed, start))
      parsed = start
      // at most one event
      yield * this.#events.splice(0)
    }
    this.#parser.feed(lines.slice(parsed))
    this.#line += lines.slice(start)
  }

  /** Replaces CR and CRLF by LF. A CR ends its line at once (section 9.2.5), but the parser waits for the next character. */
  #withLF (text: string): string {
    const rest = this.#endsInCR && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') this.#endsInCR = text.endsWith('\r')
    return rest.replace(/\r\n?/g, '\n')
  }
}
