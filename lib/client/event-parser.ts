import { createParser } from 'eventsource-parser'
import type { SSEMessage } from './types.js'

/** Reads the events in the text of one stream after the other, and keeps what holds beyond the end of one. */
export class EventParser {
  /** Id of the last event that `read` yielded or passed over, because it had no data: where to resume. */
  lastEventId: string | null
  /** How long the server asks to be left alone before one comes back, ms. */
  retry: number | undefined
  #events: SSEMessage[] = []
  #parser = createParser({
    onEvent: ({ id, event = 'message', data }) => { this.#events.push({ id, event, data }) },
    onRetry: (retry) => { this.retry = retry }
  })

  /** The id that counts from the end of its event on. */
  #id: string | null = null
  /** The beginning of a line that is not complete. */
  #line = ''
  /** A LF that follows is the second half of a line break. */
  #endsInCR = false

  constructor (lastEventId: string | null) {
    this.lastEventId = lastEventId
  }

  /** A stream begins. What the one before left incomplete is nothing. */
  begin (): void {
    this.#parser.reset()
    // what begins a text it takes for a byte order mark's bytes, which the decoder has seen to
    this.#parser.feed('')
    this.#id = this.lastEventId
    this.#line = ''
    this.#endsInCR = false
  }

  /**
   * Yields the events that are complete with this part of the stream; `lastEventId` moves on with each.
   *
   * The parser reports events with data only. The standard lets the ids of others count as well (section 9.2.6,
   * "dispatch the event"), and the lone `id:` lines of a stream that follows a log are such.
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
      // one at most
      yield * this.#events.splice(0)
    }
    this.#parser.feed(lines.slice(parsed))
    this.#line += lines.slice(start)
  }

  /** A CR ends its line at once (section 9.2.5), where the parser would wait for what follows. */
  #withLF (text: string): string {
    const rest = this.#endsInCR && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') this.#endsInCR = text.endsWith('\r')
    return rest.replace(/\r\n?/g, '\n')
  }
}
