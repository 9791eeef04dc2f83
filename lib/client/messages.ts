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

  constructor (lastEventId: string | undefined) {
    this.lastEventId = lastEventId
  }

  /** A stream begins. What the one before left incomplete is nothing. */
  begin (): void {
    this.#parser.reset()
    this.#id = this.lastEventId
    this.#line = ''
  }

  /** The events that are complete with this part of the stream. */
  read (text: string): EventSourceMessage[] {
    this.#events = []
    this.#parser.feed(text)
    this.#readIds(text)
    return this.#events
  }

  /**
   * The parser tells of events with data only. The standard has the id of others count as well (section 9.2.6, "dispatch
   * the event"), and the lone `id:` lines of a stream that follows a log are such.
   */
  #readIds (text: string): void {
    this.#line += text
    // the parser as well waits for what follows a CR, which may be half a line break
    const lines = this.#line.split(/\r\n|\n|\r(?!$)/)
    for (const [i, line] of lines.entries()) {
      if (i === lines.length - 1) this.#line = line
      else if (line === '') this.lastEventId = this.#id
      else if (/^id(?::|$)/.test(line) && !line.includes('\0')) this.#id = line.slice(3).replace(/^ /, '')
    }
  }
}
