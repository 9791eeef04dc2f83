import { EventEmitter } from 'node:events'

/** What goes through a door: told where to write, and whether to end that when it ends itself. */
export interface Guest {
  enter (destination: NodeJS.WritableStream, endDestination: boolean): void
}

/**
 * What is given to `reply.send()` in place of a stream. Fastify takes whatever has a `pipe` for one:
 * it runs the onSend hooks, sets the headers, and calls `pipe` with the response; the door hands the
 * response on, and is no longer in the way. To end-of-stream watchers (Fastify's, those of
 * `pipeline()`) it is a stream that emits `end` once.
 */
export class Door extends EventEmitter {
  readonly #guest: Guest

  constructor (guest: Guest) {
    super()
    this.#guest = guest
  }

  pipe<Destination extends NodeJS.WritableStream> (destination: Destination, options?: { end?: boolean }): Destination {
    this.#guest.enter(destination, options?.end !== false)
    return destination
  }

  /** The stream has ended; for a response with trailers this is what makes Fastify send them. */
  ended (): void {
    this.emit('end')
    this.removeAllListeners()
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
