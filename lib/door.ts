import type { Writable } from 'node:stream'

/** What goes through a door: told where to write, and whether to end that when it ends itself. */
export interface Guest {
  enter (destination: Writable, endDestination: boolean): void
}

type Listener = (...args: unknown[]) => void

/**
 * What is given to `reply.send()` in place of a stream. Fastify takes whatever has a `pipe` for one:
 * it runs the onSend hooks, sets the headers, and calls `pipe` with the response; the door hands the
 * response on, and is no longer in the way. To end-of-stream watchers (Fastify's, those of
 * `pipeline()`) it is a stream that emits `end` once, and nothing else; as an EventEmitter it would
 * cost every stream some hundred bytes.
 */
export class Door {
  readonly #guest: Guest
  #onEnd: Listener[] | null = null

  constructor (guest: Guest) {
    this.#guest = guest
  }

  pipe<Destination extends Writable> (destination: Destination, options?: { end?: boolean }): Destination {
    this.#guest.enter(destination, options?.end !== false)
    return destination
  }

  on (name: string, listener: Listener): this {
    if (name === 'end') (this.#onEnd ??= []).push(listener)
    return this
  }

  once (name: string, listener: Listener): this {
    return this.on(name, listener)
  }

  removeListener (_name: string, listener: Listener): this {
    this.#onEnd = this.#onEnd?.filter((one) => one !== listener) ?? null
    return this
  }

  /** The stream has ended; for a response with trailers this is what makes Fastify send them. */
  ended (): void {
    const listeners = this.#onEnd ?? []
    this.#onEnd = null
    for (const listener of listeners) listener.call(this)
  }

  /** Asked for by Fastify where there is nothing to send (HEAD, 204). */
  resume (): this {
    return this
  }

  /** Asked for by Fastify when the response is over; the stream hears of that by itself. */
  destroy (): this {
    return this
  }
}
