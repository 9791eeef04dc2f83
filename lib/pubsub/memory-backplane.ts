import type { Audience, Backplane, HistorySettings, Page, PublishedEvent } from '../backplane.js'
import { SSE_ERR_CLOSING } from '../errors.js'
import { EventIds } from '../event/id.js'
import { History, publishedEvent } from './history.js'

/** The backplane of an application with one process: the log is in memory and starts empty. */
export class MemoryBackplane implements Backplane {
  readonly #ids = new EventIds()
  readonly #history: History
  /** Null before `open()` and after `close()`. */
  #receive: ((event: PublishedEvent) => void) | null = null

  constructor (history: HistorySettings) {
    this.#history = new History(history, this.#ids.last)
  }

  get newest (): string {
    return this.#history.newest
  }

  get oldestId (): string | null {
    return this.#history.oldestId
  }

  async open (receive: (event: PublishedEvent) => void): Promise<void> {
    this.#receive = receive
  }

  publish (to: Audience, name: string, text: string): string {
    if (this.#receive === null) throw new SSE_ERR_CLOSING()
    const event = publishedEvent(this.#ids.next(), to, name, text)
    this.#history.append(event)
    this.#receive(event)
    return event.id
  }

  read (after: string, limit: number): Page {
    return this.#history.read(after, limit)
  }

  async close (): Promise<void> {
    this.#receive = null
  }
}
