import { now } from '../clock.js'
import { newStreamId } from '../stream/id.js'
import type { RunLimits, RunLog, RunState, RunStore, RunWriter, SSERun, StartedRun } from './store.js'

/** Keeps the runs of an application with one process in memory. */
export class MemoryRunStore implements RunStore {
  readonly #runs = new Map<string, MemoryRun>()

  start (key: string, limits: RunLimits, onStop: () => void, restart: boolean): StartedRun {
    const running = this.#runs.get(key)
    if (running?.info.state === 'running') {
      if (!restart) return { log: running, writer: null }
      running.stop()
    }
    running?.forget()
    const run = new MemoryRun(key, limits.keep, onStop, () => { if (this.#runs.get(key) === run) this.#runs.delete(key) })
    this.#runs.set(key, run)
    return { log: run, writer: run }
  }

  find (key: string): RunLog | null {
    return this.#runs.get(key) ?? null
  }

  stop (key: string): boolean {
    const run = this.#runs.get(key)
    if (run?.info.state !== 'running') return false
    run.stop()
    return true
  }

  async close (): Promise<void> {
    for (const run of this.#runs.values()) run.forget()
    this.#runs.clear()
  }
}

class MemoryRun implements RunWriter {
  readonly stop: () => void
  readonly #key: string
  readonly #id = newStreamId()
  readonly #startedAt = new Date()
  readonly #keep: number
  readonly #onExpiry: () => void
  readonly #events: string[] = []
  readonly #readers = new Set<() => void>()
  #state: RunState = 'running'
  #endedAt: Date | null = null
  #idleSince = now()
  #timer: NodeJS.Timeout | undefined

  constructor (key: string, keep: number, onStop: () => void, onExpiry: () => void) {
    this.#key = key
    this.#keep = keep
    this.stop = onStop
    this.#onExpiry = onExpiry
  }

  get info (): SSERun {
    return { key: this.#key, id: this.#id, state: this.#state, events: this.#events.length, startedAt: this.#startedAt, endedAt: this.#endedAt }
  }

  read (after: number, limit: number): readonly string[] {
    return this.#events.slice(after, after + limit)
  }

  watch (onChange: () => void): () => void {
    this.#readers.add(onChange)
    return () => {
      if (this.#readers.delete(onChange) && this.#readers.size === 0) this.#idleSince = now()
    }
  }

  append (event: string): undefined {
    this.#events.push(event)
    for (const onChange of this.#readers) onChange()
  }

  end (state: Exclude<RunState, 'running'>, last: string): undefined {
    this.#state = state
    this.#endedAt = new Date()
    if (last !== '') this.#events.push(last)
    for (const onChange of this.#readers) onChange()
    if (this.#keep === 0) this.#onExpiry()
    else this.#timer = setTimeout(this.#onExpiry, this.#keep).unref()
  }

  idleFor (): number {
    return this.#readers.size > 0 ? 0 : now() - this.#idleSince
  }

  /** Stops the timer that removes the run. */
  forget (): void {
    clearTimeout(this.#timer)
  }
}
