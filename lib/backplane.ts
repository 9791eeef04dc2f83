import type { FastifyBaseLogger } from 'fastify'
import { now } from './clock.js'
import { SSE_ERR_CLOSING, SSE_ERR_OPTION, describeValue } from './errors.js'
import { EventIds } from './event/id.js'
import { type Audience, type Gap, History, type HistorySettings, type Page, type PublishedEvent } from './pubsub/history.js'

/**
 * Where published events go, and come from: the log that all processes of an application share.
 * The suite in `test/backplane-suite.ts` tests each of these promises.
 */
export interface Backplane {
  /** The position of the newest event that was received, or of the log's end when it was opened. */
  readonly newest: string
  /** The oldest event that can be read, as far as this process knows; null where there is none. */
  readonly oldestId: string | null
  /**
   * Has every event that is published from now on received once, in the order of the log.
   * @param receive must not throw
   * @param lost told where events will not be received, since the log has lost them: what is received next follows
   * `through`, which is the newest position from then on. Must not throw
   */
  open (receive: (event: PublishedEvent) => void, lost: (gap: Gap) => void): Promise<void>
  /**
   * Appends an event. Gives its id once the log has it: at once, or by a promise.
   * @param name the topic or client id, `''` for all
   * @param text the encoded event, without an id
   * @throws SSE_ERR_CLOSING once it is closed
   */
  publish (to: Audience, name: string, text: string): Promise<string> | string
  /**
   * At most `limit` events that follow the position `after`, which has the form of an id. Where they do not follow
   * it directly, since the log does not reach back that far or `after` was never in it, the page says so.
   * None of them is newer than `newest`: those are still to be received.
   */
  read (after: string, limit: number): Page | Promise<Page>
  close (): Promise<void>
}

/** Makes a backplane that keeps so much of the log; the plugin opens it when it is registered. `log` is the app's. */
export type BackplaneFactory = (history: HistorySettings, log: FastifyBaseLogger) => Backplane

/** @throws SSE_ERR_OPTION where what a factory gave is no backplane */
export function asBackplane (given: Backplane): Backplane {
  for (const member of ['open', 'publish', 'read', 'close'] as const) {
    if (typeof given?.[member] !== 'function') throw new SSE_ERR_OPTION('backplane', 'a function that makes a Backplane', `one that gave ${describeValue(given)} without a method "${member}"`)
  }
  return given
}

/** An event of the log, from its id and its text without one. */
export function publishedEvent (id: string, to: Audience, name: string, text: string): PublishedEvent {
  return { id, to, name, text: `id: ${id}\n${text}`, time: now() }
}

/** The backplane of an application that is one process: the log is in its memory, and begins with it. */
export class InProcessBackplane implements Backplane {
  readonly #ids = new EventIds()
  readonly #history: History
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
