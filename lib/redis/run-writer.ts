// Tested by test/redis/run-store.test.ts
import { real } from '../clock.js'
import type { RunLimits, RunState, RunWriter, SSERun } from '../runs/store.js'
import { failure } from './connection.js'
import { RedisRunLog, type RunSource } from './run-log.js'

/** Number of characters of events that may wait until Redis has stored them. With more, `append` makes the source wait. */
const MOST_WAITING = 1_048_576
/** The limits of the events in one command. */
const BATCH = { events: 500, characters: 262_144 }
/** The time for which the end of a run is tried after the greatest duration of the run, ms. */
const END = 600_000

/** The part of the store that a writer uses. All methods try again after a lost connection until the time `until`, on the clock of `real.now()`. */
export interface RunSink extends RunSource {
  appendEvents (id: string, from: number, events: readonly string[], until: number): Promise<SSERun | null>
  /** Tries again also after Redis has refused the command, because a run without an end would not end before its process does. */
  endRun (id: string, state: Exclude<RunState, 'running'>, last: string, until: number): Promise<SSERun | null>
  /** Returns for how long no other process has read the run, ms. */
  idleElsewhere (id: string): Promise<number>
  /** Called once the run has ended. */
  onEnd (writer: RedisRunWriter): void
}

/** The log of a run in the process that runs its source. Readers of this process get an event once Redis has stored it. */
export class RedisRunWriter extends RedisRunLog implements RunWriter {
  readonly onStop: () => void
  readonly #sink: RunSink
  /** Time after which an append is not tried again. */
  readonly #until: number
  #waiting: string[] = []
  #characters = 0
  #stored = 0
  #sending: Promise<void> | null = null
  /** Functions that let sources continue that wait until fewer events wait. */
  readonly #drains: Array<() => void> = []
  #failure: Error | null = null

  constructor (run: SSERun, limits: RunLimits, onStop: () => void, sink: RunSink) {
    super(run, sink)
    this.#sink = sink
    this.onStop = onStop
    this.#until = real.now() + limits.maxDuration
  }

  append (event: string): Promise<void> | undefined {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    this.#waiting.push(event)
    this.#characters += event.length
    this.#sending ??= this.#send()
    return this.#characters > MOST_WAITING ? this.#drained() : undefined
  }

  async end (state: Exclude<RunState, 'running'>, last: string): Promise<void> {
    await this.#sending
    // the caller then ends the run as failed
    if (state === 'done' && this.#failure !== null) throw this.#failure
    try {
      const texts = last === '' ? [] : [last]
      const run = await this.#sink.endRun(this.id, state, last, this.#until + END)
      const isOwn = run?.state === state && run.events === this.#stored + texts.length
      if (isOwn) this.receive({ ...run, from: this.#stored + 1, to: run.events, texts })
      else this.update(run)
    } finally {
      this.#sink.onEnd(this)
    }
  }

  async idleFor (): Promise<number> {
    return this.isRead ? 0 : Math.min(this.unreadFor, await this.#sink.idleElsewhere(this.id))
  }

  /** Sends the events that wait, one command after the other. Never rejects. */
  async #send (): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      try {
        await this.#store(batch)
      } catch (error) {
        this.#failure = error as Error
        this.#waiting = []
        this.#characters = 0
      }
      if (this.#characters <= MOST_WAITING) for (const resolve of this.#drains.splice(0)) resolve()
    }
    this.#sending = null
  }

  async #store (batch: string[]): Promise<void> {
    const [from, to] = [this.#stored + 1, this.#stored + batch.length]
    const run = await this.#sink.appendEvents(this.id, from, batch, this.#until)
    if (run?.state !== 'running' || run.events !== to) {
      this.update(run)
      throw failure(new Error(`Redis has lost events of the run, or its state is not running: ${JSON.stringify(run)}`))
    }
    this.#stored = to
    for (const event of batch) this.#characters -= event.length
    this.receive({ from, to, texts: batch, state: 'running', endedAt: null })
  }

  async #drained (): Promise<void> {
    await new Promise<void>((resolve) => { this.#drains.push(resolve) })
    if (this.#failure !== null) throw this.#failure
  }

  #takeBatch (): string[] {
    let [count, characters] = [0, 0]
    for (const event of this.#waiting) {
      if (count >= BATCH.events || characters >= BATCH.characters) break
      characters += event.length
      count++
    }
    return this.#waiting.splice(0, count)
  }
}
