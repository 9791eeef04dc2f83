import type { Audience, Backplane, BackplaneListener, HistorySettings, Page } from '../backplane.js'
import { SSE_ERR_CLOSING } from '../errors.js'
import { EventIds } from '../event/id.js'
import { History, publishedEvent } from './history.js'

/** The backplane (log of published events) of an application with one process. It keeps the log in memory. After a restart the log is empty. */
export class MemoryBackplane implements Backplane {
  readonly #ids = new EventIds()
  readonly #history: History
  /** Gets each published event. Null before `open()` and after `close()`. */
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

  publish (to: Audience, name: string, frame: string): string {
    if (this.#listener === null) throw new SSE_ERR_CLOSING()
    const event = publishedEvent(this.#ids.next(), to, name, frame)
    this.#history.append(event)
    this.#listener.onEvent(event)
    return event.id
  }

  read (after: string, limit: number): Page {
    return this.#history.read(after, limit)
  }

  async close (): Promise<void> {
    this.#listener = null
  }
}
