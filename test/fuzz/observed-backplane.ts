import { setImmediate as turn } from 'node:timers/promises'
import type { Backplane, BackplaneFactory } from '../../lib/backplane.js'

/** A log under test. */
export interface TestedLog {
  readonly factory: BackplaneFactory
  /** True if the log is in Redis: an entry is then received later than it is appended, and a replay takes several turns of the event loop. */
  readonly isRemote: boolean
  /**
   * True if each read has another limit. With Redis, identical reads within 2 s share a page, so that a replay may have events that were
   * dropped since, and a gap for each of two reads. No model knows the time of the earlier read. A log that drops nothing has no difference.
   */
  readonly separatesReads?: boolean
  /** Called after the sequence. Removes the entries of the log. */
  readonly remove?: () => Promise<unknown>
}

/** Creates a backplane and observes its pending calls. */
export class ObservedBackplane {
  readonly isRemote: boolean
  /** The id of the newest control message. */
  controlId: Promise<string> | string = ''
  readonly #log: TestedLog
  #limit = 0
  /** Number of reads without a result. */
  #reads = 0

  constructor (log: TestedLog) {
    this.#log = log
    this.isRemote = log.isRemote
  }

  get factory (): BackplaneFactory {
    return (history, log) => {
      const backplane = this.#log.factory(history, log)
      const [read, rewind, control] = [backplane.read.bind(backplane), backplane.rewind.bind(backplane), backplane.control.bind(backplane)]
      const observed: Partial<Backplane> = {
        read: (after, reader, limit) => this.#counted(read(after, reader, this.#log.separatesReads === true ? ++this.#limit : limit)),
        rewind: (...args) => this.#counted(rewind(...args)),
        control: (message) => (this.controlId = control(message))
      }
      return Object.assign(backplane, observed)
    }
  }

  /** Waits until no replay has read for 12 turns of the event loop. A replay has one turn between two reads. */
  async idle (): Promise<void> {
    for (let turns = 0; turns < 12; turns = this.#reads === 0 ? turns + 1 : 0) await turn()
  }

  #counted<Result> (result: Promise<Result> | Result): Promise<Result> | Result {
    if (!(result instanceof Promise)) return result
    this.#reads++
    return result.finally(() => { this.#reads-- })
  }
}
