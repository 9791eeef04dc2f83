import { setImmediate as turn } from 'node:timers/promises'
import { encode, withoutId } from './event.js'
import { isEventId } from './event-id.js'
import type { Gap, Page, PublishedEvent } from './history.js'
import type { Cursor } from './roles.js'
import type { EventStream } from './stream.js'

/** The log, and the lists of those that are handed what is new in it. */
export interface Log {
  /** The position of the newest event. */
  readonly newest: string
  /** The oldest event that can be replayed; null where there is none. */
  readonly oldestId: string | null
  read (after: string, limit: number): Page | Promise<Page>
  join (topic: string, cursor: Cursor): void
  leave (topic: string, cursor: Cursor): void
}

/** How many events are taken from the log at once; then other streams have their turn. */
const PAGE = 128

/**
 * Where in the log one stream is. It reads what its client missed from the log, at the client's pace, while
 * new events wait there. Once nothing is left to read it is live: it is handed each event as it is published.
 */
export class LogCursor implements Cursor {
  readonly #stream: EventStream
  readonly #log: Log
  /** Null as long as the stream was not subscribed to any. */
  #topics: readonly string[] | null = null
  /** Whose ids the client is sent: the log's, or the application's own, if any. */
  #ids: 'none' | 'log' | 'own' = 'none'
  /** The id the client holds, if it came with one or was sent one. */
  #heldId: string | null
  /** Up to where the log was read, until the stream is live. */
  #position: string
  #live: boolean
  /** The client was sent an id since `wrote` was last called. */
  #moved = false
  /** The oldest event that waits to be written, if lag is measured. */
  #waiting: PublishedEvent | null = null

  /** @param live whether there is nothing to wait for before the events to come */
  constructor (stream: EventStream, log: Log, live: boolean) {
    this.#stream = stream
    this.#log = log
    this.#live = live
    const { lastEventId } = stream
    const resumes = lastEventId !== null && isEventId(lastEventId)
    this.#heldId = lastEventId
    this.#position = resumes ? lastEventId : log.newest
    if (lastEventId !== null && !resumes) this.#ids = 'own'
  }

  get takesIds (): boolean {
    return this.#topics === null
  }

  /** @param topics valid, each once */
  subscribe (topics: readonly string[]): void {
    const before = this.#topics
    const added = before === null ? topics : topics.filter((topic) => !before.includes(topic))
    for (const topic of added) this.#log.join(topic, this)
    this.#topics = before === null ? topics : [...before, ...added]
    if (this.#ids === 'log') return
    this.#ids = 'log'
    if (this.#live) this.#sayPosition()
  }

  unsubscribe (topics: readonly string[]): void {
    const before = this.#topics ?? []
    for (const topic of before) if (topics.includes(topic)) this.#log.leave(topic, this)
    this.#topics = before.filter((topic) => !topics.includes(topic))
  }

  /** Reads what was missed, then goes live. */
  begin (): void {
    if (this.#live) return
    if (this.#position === this.#log.newest) this.#goLive()
    else this.#catchUp()
  }

  /** Hands on an event that was published, unless it will be read from the log. Hot path. */
  deliver (event: PublishedEvent): void {
    if (!this.#live) return
    // before it is written, since it may go out at once
    if (this.#stream.counters.lag !== null) this.#waiting ??= event
    if (!this.#write(event) && this.#waiting === event) this.#waiting = null
  }

  wrote (now: number): boolean {
    if (this.#waiting !== null) {
      this.#stream.counters.lag?.(now - this.#waiting.time)
      this.#waiting = null
    }
    const moved = this.#moved || this.#ids !== 'log'
    this.#moved = false
    return moved
  }

  line (): string {
    if (this.#ids !== 'log') return ''
    this.#hold(this.#live ? this.#log.newest : this.#position)
    return `id: ${this.#heldId}\n`
  }

  gap (): string {
    return this.#gap({ oldestId: this.#log.oldestId, through: this.#live ? this.#log.newest : this.#position })
  }

  wroteOwn (id: string): void {
    this.#ids = 'own'
    this.#heldId = id
  }

  close (): void {
    for (const topic of this.#topics ?? []) this.#log.leave(topic, this)
  }

  async #catchUp (): Promise<void> {
    const stream = this.#stream
    try {
      while (!stream.closed && this.#position !== this.#log.newest) {
        const page = await this.#log.read(this.#position, PAGE)
        // it is not kept while the client is waited for: the log alone is the memory of what that missed
        if (!stream.closed) this.#replay(page)
        if (stream.congested) await stream.ready()
        else if (this.#position !== this.#log.newest) await turn()
      }
      if (!stream.closed) this.#goLive()
    } catch (error) {
      stream.fail(error)
    }
  }

  #replay ({ gap, events }: Page): void {
    if (this.#stream.congested) return
    if (gap === null) this.#recognize()
    else this.#leap(gap)
    for (const event of events) {
      if (this.#stream.congested) return
      this.#position = event.id
      if (this.#concerns(event) && this.#write(event)) this.#stream.counters.replayed++
    }
  }

  #goLive (): void {
    const held = this.#heldId === this.#position
    this.#live = true
    if (held) this.#recognize()
    else if (this.#ids === 'log') this.#sayPosition()
  }

  /** The id that the client came with is one of the log's. */
  #recognize (): void {
    if (this.#ids === 'none' && this.#heldId !== null) this.#ids = 'log'
  }

  #leap (gap: Gap): void {
    this.#stream.tell(this.#gap(gap))
    this.#position = gap.through
  }

  #concerns ({ to, name }: PublishedEvent): boolean {
    if (to === 'all') return true
    return to === 'client' ? name === this.#stream.clientId : this.#topics !== null && this.#topics.includes(name)
  }

  /** Hot path. Where the ids are the application's, the event is written without its own. */
  #write ({ id, text }: PublishedEvent): boolean {
    const own = this.#ids === 'own'
    if (!this.#stream.write(own ? withoutId(text) : text)) return false
    if (!own) {
      this.#ids = 'log'
      this.#hold(id)
    }
    return true
  }

  #sayPosition (): void {
    this.#stream.note(`${this.line()}\n`)
  }

  #gap ({ oldestId, through }: Gap): string {
    this.#stream.counters.gaps++
    const data = { lastEventId: this.#heldId, oldestId }
    if (this.#ids !== 'log') return encode({ event: 'gap', data })
    this.#hold(through)
    return encode({ id: through, event: 'gap', data })
  }

  #hold (id: string): void {
    this.#heldId = id
    this.#moved = true
  }
}
