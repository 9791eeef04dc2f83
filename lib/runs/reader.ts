// Tested by test/runs/resumable.test.ts
import type { EventStream } from '../stream/event-stream.js'
import type { Producer } from '../stream/contracts.js'
import { sliceIsOver } from '../stream/time-slice.js'
import { runEventId } from './run-id.js'
import type { RunStats } from '../stats.js'
import type { RunLog } from './store.js'

/** Number of events that a stream reads from a run at once. */
const PAGE = 128

/** Sends the events of a run to one stream, at the pace of its client, then closes the stream. */
export class RunReader implements Producer<EventStream> {
  readonly #log: RunLog
  readonly #id: string
  /** Number of the last event that the stream has sent. */
  #position: number
  readonly #unwatch: () => void
  #changed = true
  #wake: (() => void) | null = null

  /** @param position number of the event after which the stream starts */
  constructor (log: RunLog, position: number, stats: RunStats) {
    this.#log = log
    this.#id = log.info.id
    this.#position = position
    stats.readers++
    const unwatch = log.watch(() => {
      this.#changed = true
      this.#wake?.()
    })
    this.#unwatch = () => {
      unwatch()
      stats.readers--
    }
  }

  stop (): undefined {
    this.#unwatch()
    this.#wake?.()
  }

  /** Sends events until the run has ended and all its events are sent, or the stream closes. @throws SSE_ERR_BACKPLANE if events cannot be read */
  async run (stream: EventStream): Promise<void> {
    while (!stream.closed) {
      // read before the events, because the run may end, or get more events, while they are read
      const { state, events } = this.#log.info
      this.#changed = false
      const page = await this.#log.read(this.#position, PAGE)
      for (const event of page) {
        if ((stream.needsDrain || sliceIsOver()) && !await stream.ready()) return
        const id = runEventId(this.#id, ++this.#position)
        stream.writeWithId(`id: ${id}\n${event}`, id)
      }
      if (page.length > 0) continue
      if (state !== 'running' && this.#position >= events) stream.close()
      else if (!this.#changed) await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }
}
