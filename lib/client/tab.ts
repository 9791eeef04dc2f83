// Tested by test/client/sharing.test.ts
import { Chain, type Link } from './chain.js'
import type { SSEError } from './errors.js'
import type { RawEvent } from './event-parser.js'
import type { GivenOptions } from './options.js'

/** The number of links that a tab keeps while it is behind. It has caught up when it reaches one of them. */
const MOST_HELD = 500

/** A message between tabs: an event; the end of the stream, with the error of a failure; or, with neither, the question for the holder's position. */
interface Relayed {
  link?: Link
  over?: { error: Failure | undefined }
}

/** An SSEError as it is posted: without its headers and cause, which may be objects that no message can hold. */
type Failure = Omit<SSEError, 'headers' | 'cause'>

/** The part of LockManager that a tab uses. */
export interface Locks {
  query: () => Promise<unknown>
  request: (name: string, options: { signal: AbortSignal }, whileHeld: () => Promise<unknown>) => Promise<unknown>
}

/** The options of the loop, and what a tab needs from its page and from the client. */
export interface TabOptions extends Pick<GivenOptions, 'lastEventId' | 'end' | 'onShare'> {
  /** The name of the lock and of the channel. */
  name: string
  locks: Locks
  Channel: typeof BroadcastChannel
  connect: (lastEventId: string | null, signal: AbortSignal) => AsyncIterable<Iterable<RawEvent>>
  SSEError: typeof SSEError
}

/**
 * A tab that shares a connection. The tab that gets the lock is the holder: it connects, and posts each event to the
 * other tabs. Each tab knows its place in the chain of events, so it drops an event that arrives twice, and notices
 * at the next link that it missed events.
 *
 * A tab that is behind, after it was frozen or with the option `lastEventId`, catches up by a separate connection from
 * its own last id, and drops this connection at the first id that the holder has reached too. The holder keeps no events
 * for it, because it could keep only a limited number, and the log of the server has them all.
 */
export class Tab {
  readonly #options: TabOptions
  readonly #chain: Chain
  /** Events that arrived and that the loop has not taken. */
  #unread: RawEvent[] = []
  #wake = () => {}
  /** Set when no more events arrive; its error is that of a failure. */
  #over: { error: unknown } | undefined
  /** The channel while this tab takes part, and the controller whose abort gives the lock back. */
  #channel: InstanceType<typeof BroadcastChannel> | undefined
  #joined = new AbortController()
  #isHolder = false
  /** The value that `onShare` was called with. */
  #holds: boolean | undefined
  /** The connection of the holder, or of a tab that catches up. */
  #connection: AbortController | undefined
  /** The newest links of the holder, while this tab catches up. */
  #held: Link[] = []

  constructor (options: TabOptions) {
    this.#options = options
    this.#chain = new Chain(options.lastEventId)
  }

  /** Yields the events that have arrived, until `close`, the end of the stream, or its failure, which it throws. */
  async * events (): AsyncGenerator<RawEvent[], undefined> {
    for (;;) {
      if (this.#unread.length > 0) yield this.#unread.splice(0)
      else if (!this.#over) await new Promise<void>((resolve) => { this.#wake = resolve })
      else if (this.#over.error) throw this.#over.error
      else return
    }
  }

  /** Takes part in the sharing, if it does not yet. */
  join (): void {
    if (this.#channel || this.#over) return
    const { name, locks, Channel, SSEError } = this.#options
    const { signal } = this.#joined = new AbortController()
    this.#channel = new Channel(name)
    this.#channel.onmessage = ({ data: { link, over } }: { data: Relayed }) => {
      if (over) this.close(over.error && new SSEError(over.error.code, over.error.message, over.error))
      else if (link) this.#receive(link, true)
      else if (this.#isHolder) this.#answer()
    }
    this.#post({})
    locks.request(name, { signal }, () => {
      this.#isHolder = true
      // asks through a second channel, so that this tab connects after the messages that the holder before it has posted
      const asking = new Channel(name)
      asking.postMessage({})
      asking.close()
      return new Promise<unknown>((resolve) => signal.addEventListener('abort', resolve))
    }).catch((error: unknown) => signal.aborted || this.#finish(error))
  }

  /** Gives up the connection and the lock, so that another tab becomes the holder. `join` takes part again. */
  leave (): void {
    this.#isHolder = false
    this.#disconnect()
    this.#joined.abort()
    this.#channel?.close()
    this.#channel = undefined
  }

  /** Ends the events of this tab. The loop still gets the events that have arrived. @param error the error of a failure */
  close (error?: unknown): void {
    this.#over ??= { error }
    this.leave()
    this.#wake()
  }

  #post (message: Relayed): void {
    this.#channel?.postMessage(message)
  }

  /** Connects, unless this holder is connected, and posts its position: an id without an event. */
  #answer (): void {
    this.#read()
    const { lastEventId = null } = this.#chain
    this.#post({ link: { from: lastEventId, lastEventId, message: undefined } })
    this.#setHolds(true)
  }

  #setHolds (holds: boolean): void {
    if (holds === this.#holds) return
    this.#holds = holds
    Promise.resolve({ holds }).then(this.#options.onShare).catch((error: unknown) => this.#finish(error))
  }

  /**
   * Takes the next link, and drops one that this tab has already. A relayed link after events that are missing is kept
   * until a separate connection has brought these events.
   */
  #receive (link: Link, relayed: boolean): void {
    const isNext = this.#chain.continuesWith(link)
    const isBehind = !isNext && !this.#chain.has(link)
    if (isNext || (isBehind && !relayed)) {
      this.#chain.reach(link.lastEventId)
      this.#unread.push(link)
      this.#wake()
    }
    if (this.#isHolder) return
    if (!relayed) {
      // continues with the kept links of the holder, if this tab has reached one of them
      const { lastEventId } = this.#chain
      const reached = this.#held.findIndex((link) => link.from === lastEventId || link.lastEventId === lastEventId)
      if (reached >= 0) for (const link of this.#held.splice(0).slice(reached)) this.#receive(link, true)
      return
    }
    this.#setHolds(false)
    if (!isBehind) return this.#disconnect()
    if (this.#held.push(link) > MOST_HELD) this.#held.shift()
    this.#read()
  }

  /** Connects and reads to the end, as the holder or to catch up. */
  async #read (): Promise<void> {
    if (this.#connection) return
    const { connect, end } = this.#options
    const { signal } = this.#connection = new AbortController()
    let { lastEventId: from = null } = this.#chain
    try {
      for await (const part of connect(from, signal)) {
        for (const { message, lastEventId } of part) {
          if (signal.aborted) return
          const link = { from, lastEventId, message }
          from = lastEventId
          this.#receive(link, false)
          if (this.#isHolder) this.#post({ link })
          if (message && message.data === end) return this.#finish()
        }
      }
      if (!signal.aborted) this.#finish()
    } catch (error) {
      this.#finish(error)
    }
  }

  #disconnect (): void {
    this.#connection?.abort()
    this.#connection = undefined
    this.#held = []
  }

  /** Ends the events of this tab. The holder ends those of all tabs, except after an error that a callback of the application threw. */
  #finish (error?: unknown): void {
    const failure = error instanceof this.#options.SSEError ? { ...error, message: error.message, headers: undefined, cause: undefined } : undefined
    if (this.#isHolder && (failure || error === undefined)) this.#post({ over: { error: failure } })
    this.close(error)
  }
}
