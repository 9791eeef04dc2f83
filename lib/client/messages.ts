import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** Reads the events in the text of one stream after the other, and keeps what holds beyond the end of one. */
export class Messages {
  /** What to come back with: the last event's id, also where that event had no data. */
  lastEventId: string | undefined
  /** How long the server asks to be left alone before one comes back, ms. */
  retry: number | undefined
  #events: EventSourceMessage[] = []
  #parser = createParser({
    onEvent: (event) => { this.#events.push(event) },
    onRetry: (retry) => { this.retry = retry }
  })

  /** The id that counts from the end of its event on. */
  #id: string | undefined
  /** The beginning of a line that is not complete. */
  #line = ''
  /** A LF that follows is the second half of a line break. */
  #endsInCR = false

  constructor (lastEventId: string | undefined) {
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

  /** The events that are complete with this part of the stream. */
  read (text: string): EventSourceMessage[] {
    this.#events = []
    const lines = this.#withLF(text)
    this.#parser.feed(lines)
    this.#readIds(lines)
    return this.#events
  }

  /** A CR ends its line at once (section 9.2.5), where the parser would wait for what follows. */
  #withLF (text: string): string {
    const rest = this.#endsInCR && text.startsWith('\n') ? text.slice(1) : text
    if (text !== '') this.#endsInCR = text.endsWith('\r')
    return rest.replace(/\r\n?/g, '\n')
  }

  /**
   * The parser tells of events with data only. The standard has the id of others count as well (section 9.2.6, "dispatch
   * the event"), and the lone `id:` lines of a stream that follows a log are such.
   */
  #readIds (text: string): void {
    let start = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const line = this.#line + text.slice(start, end)
      if (line === '') this.lastEventId = this.#id
      else if (/^id(?::|$)/.test(line) && !line.includes('\0')) this.#id = line.slice(3).replace(/^ /, '')
      this.#line = ''
      start = end + 1
    }
    this.#line += text.slice(start)
  }
}
