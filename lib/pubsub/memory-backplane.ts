import type { Backplane, BackplaneListener, Control, HistorySettings, Page, Publication, Reader, StartPositions } from '../backplane.js'
import { SSE_ERR_CLOSING } from '../errors.js'
import { EventIds } from '../event/id.js'
import { History, publishedEvent } from './history.js'

/** Position before all events of any log. */
const BEFORE_ALL = '0-0'

/** The backplane (log of published events) of an application with one process. It keeps the log in memory. After a restart the log is empty. */
export class MemoryBackplane implements Backplane {
  readonly #ids = new EventIds()
  readonly #history: History
  /** Gets each entry of the log. Null before `open()` and after `close()`. */
  #listener: BackplaneListener | null = null

  constructor (history: HistorySettings) {
    this.#history = new History(history, this.#ids.last)
  }

  get newest (): string {
    return this.#history.newest
  }

  get oldestId (): string | null {
    return this.#history.oldestId
  }

  async open (listener: BackplaneListener): Promise<void> {
    this.#listener = listener
  }

  publish (publication: Publication): string {
    const listener = this.#opened()
    const event = publishedEvent(this.#ids.next(), publication)
    this.#history.append(event)
    listener.onEvent(event)
    return event.id
  }

  control (control: Control): string {
    const listener = this.#opened()
    const id = this.#ids.next()
    this.#history.advance(id)
    listener.onControl(control)
    return id
  }

  read (after: string, reader: Reader, limit: number): Page {
    // an id of another process, or of this one before its restart, says nothing about this log
    return this.#history.read(this.#ids.issued(after) ? after : BEFORE_ALL, reader, limit)
  }

  rewind (topics: ReadonlySet<string>, count: number): StartPositions {
    return this.#history.rewind(topics, count)
  }

  async close (): Promise<void> {
    this.#listener = null
  }

  /** Returns the listener. @throws SSE_ERR_CLOSING if the backplane is not open */
  #opened (): BackplaneListener {
    if (this.#listener === null) throw new SSE_ERR_CLOSING()
    return this.#listener
  }
}
