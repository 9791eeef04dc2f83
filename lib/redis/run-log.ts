// Tested by test/redis/run-store.test.ts
import { now } from '../clock.js'
import type { RunLog, RunState, SSERun } from '../runs/store.js'
import { LOST, type RunMessage } from './run-commands.js'

/** The number of characters of the newest events of a run that a process keeps in memory for all its readers. */
const WINDOW = 262_144

/** The part of the store that a log uses. */
export interface RunSource {
  /** Reads up to `limit` events after the event number `after` from Redis. Never resolves to an empty array. @throws SSE_ERR_BACKPLANE */
  readEvents (id: string, after: number, limit: number): Promise<readonly string[]>
  /** Called when a log gets its first reader. */
  onRead (log: RedisRunLog): void
}

/** A run, as one process knows it. All readers of the process share it. It keeps the newest events, and reads older ones from Redis. */
export class RedisRunLog implements RunLog {
  readonly id: string
  readonly #source: RunSource
  readonly #key: string
  readonly #startedAt: Date
  readonly #readers = new Set<() => void>()
  #state: RunState
  #endedAt: Date | null
  /** Number of the events that can be read. */
  #events: number
  /** The events up to number `#end`. */
  #window: string[] = []
  #end: number
  #characters = 0
  #idleSince = now()

  constructor ({ id, key, state, events, startedAt, endedAt }: SSERun, source: RunSource) {
    this.id = id
    this.#source = source
    this.#key = key
    this.#state = state
    this.#events = events
    this.#end = events
    this.#startedAt = startedAt
    this.#endedAt = endedAt
  }

  get info (): SSERun {
    return { key: this.#key, id: this.id, state: this.#state, events: this.#events, startedAt: this.#startedAt, endedAt: this.#endedAt }
  }

  get isRead (): boolean {
    return this.#readers.size > 0
  }

  /** Time for which this process has not read the run, ms. */
  get unreadFor (): number {
    return this.isRead ? 0 : now() - this.#idleSince
  }

  read (after: number, limit: number): readonly string[] | Promise<readonly string[]> {
    if (after >= this.#events) return []
    const first = this.#end - this.#window.length
    if (after >= first && after < this.#end) return this.#window.slice(after - first, after - first + limit)
    return this.#readPage(after, limit)
  }

  watch (onChange: () => void): () => void {
    // a separate function for each reader, because a caller may watch twice with the same one
    const reader = () => onChange()
    this.#readers.add(reader)
    if (this.#readers.size === 1) this.#source.onRead(this)
    return () => {
      if (this.#readers.delete(reader) && this.#readers.size === 0) this.#idleSince = now()
    }
  }

  /** Adds the events of a message that are new, and ends the run if the message does. */
  receive ({ from, to, texts, state, endedAt }: Omit<RunMessage & { kind: 'events' }, 'kind' | 'run'>): void {
    this.#keep(from, texts)
    this.update({ state, events: to, endedAt })
  }

  /** Called with the run as it was in Redis. Null: Redis no longer has it. The answer may be older than messages that were received. */
  update (found: Pick<SSERun, 'state' | 'events' | 'endedAt'> | null): void {
    if (this.#state !== 'running') return
    if (found === null) {
      this.#keep(this.#events + 1, [LOST])
      this.#change('lost', this.#events + 1, new Date())
    } else if (found.state !== 'running') {
      // fewer events than before if a failover has lost some of them
      if (found.events < this.#end) this.#clear(found.events)
      this.#change(found.state, found.events, found.endedAt)
    } else if (found.events > this.#events) {
      this.#change(found.state, found.events, null)
    }
  }

  #change (state: RunState, events: number, endedAt: Date | null): void {
    this.#state = state
    this.#events = events
    this.#endedAt = endedAt
    for (const reader of this.#readers) reader()
  }

  /** Keeps events in memory that follow those in memory, or replaces them by later ones. */
  #keep (from: number, texts: readonly string[]): void {
    const added = from > this.#end ? texts : texts.slice(this.#end + 1 - from)
    if (added.length === 0) return
    if (from > this.#end + 1) this.#clear(from - 1)
    for (const text of added) this.#characters += text.length
    this.#window.push(...added)
    this.#end += added.length
    if (this.#characters <= WINDOW) return
    // drops down to half of the limit, so that few appends have to drop
    let dropped = 0
    for (const text of this.#window) {
      if (this.#characters <= WINDOW / 2) break
      this.#characters -= text.length
      dropped++
    }
    this.#window.splice(0, dropped)
  }

  /** Empties the memory. The next event that is kept follows the number `end`. */
  #clear (end: number): void {
    this.#window = []
    this.#characters = 0
    this.#end = end
  }

  async #readPage (after: number, limit: number): Promise<readonly string[]> {
    const page = await this.#source.readEvents(this.id, after, limit)
    // events that were too large for the bus
    if (after === this.#end) this.#keep(after + 1, page)
    return page
  }
}
