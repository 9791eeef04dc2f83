// Tested by test/redis/run-store.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import type { Connection } from './connection.js'
import type { RunCommands, RunMessage } from './run-commands.js'

/** The longest time that one read waits for a new message, ms. */
const BLOCK = 1_000
/** The delay before the bus is read again after a failure, ms. */
const PAUSE = 100
/** The number of messages after which other work gets a turn of the event loop, so that streams can write their events. */
const SLICE = 32
/** The time without an answer after which the connection counts as interrupted, ms. Shorter than the rest of a lease that was renewed `BEAT` ms ago. */
const INTERRUPTED = 2_000
/** The time after an interruption in which no run is marked as lost, ms, because its producer may need this time to reconnect and renew its lease. */
const GRACE = 3_000

/**
 * Reads the messages about all runs on one connection, until `close()`. A message may be missed, if the bus was trimmed or lost before it
 * was read: the next message of the run, or the next check, shows that.
 */
export class RunBus {
  readonly #connection: Connection
  readonly #commands: RunCommands
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  /** Id of the last message that was read. The next read continues after it. */
  #position = '0-0'
  /** The time of Redis minus that of `real.now()`, ms. */
  #offset = 0
  /** Time of the last answer, and of the first answer after the last interruption, ms. */
  #answered = 0
  #steadySince = -Infinity
  #failing = false
  #closed = false

  /** @param timeout the longest time that Redis may take for an answer, ms */
  constructor (connection: Connection, commands: RunCommands, timeout: number, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#commands = commands
    this.#timeout = timeout
    this.#log = log
  }

  /**
   * The time on the clock of Redis, as far as this process knows, which a command takes along that may mark runs as lost. 0 if the
   * connection was interrupted shortly before. An outage of Redis must not look like the death of the producers, whose leases have then expired.
   */
  get trust (): number {
    const time = real.now()
    return time - this.#answered > INTERRUPTED || time - this.#steadySince < GRACE ? 0 : Math.round(time + this.#offset)
  }

  /** Moves to the end of the bus, so that `run` reads only later messages. */
  async open (): Promise<void> {
    const { time, newest } = await this.#ask(() => this.#commands.open(this.#connection))
    this.#position = newest
    this.#answered = real.now()
    this.setTime(time)
  }

  /** Called with the time of Redis in each answer that has it. */
  setTime (time: number): void {
    this.#offset = time - real.now()
  }

  /** Reads the bus until `close()`. Never rejects: it logs a failure and tries again. */
  async run (onMessage: (message: RunMessage) => void): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#read(onMessage)
        if (this.#failing) this.#log.info('runs are read from Redis again')
        this.#failing = false
      } catch (error) {
        if (this.#closed) return
        if (!this.#failing) this.#log.error({ err: error }, 'runs are not read from Redis, which is tried again')
        this.#failing = true
        await real.wait(PAUSE, undefined, { ref: false })
      }
    }
  }

  close (): void {
    this.#closed = true
    this.#connection.close()
  }

  async #read (onMessage: (message: RunMessage) => void): Promise<void> {
    const messages = await this.#ask(() => this.#commands.readBus(this.#connection, this.#position, BLOCK))
    const time = real.now()
    if (time - this.#answered > INTERRUPTED) this.#steadySince = time
    this.#answered = time
    let count = 0
    for (const [id, message] of messages) {
      this.#position = id
      onMessage(message)
      if (++count % SLICE === 0) await real.turn()
    }
  }

  #ask<Result> (work: () => Promise<Result>): Promise<Result> {
    return this.#connection.run({ timeout: BLOCK + this.#timeout }, work)
  }
}
