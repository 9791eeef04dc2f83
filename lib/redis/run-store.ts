import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { SSE_ERR_CLOSING } from '../errors.js'
import type { RunLimits, RunLog, RunState, RunStore, SSERun, StartedRun } from '../runs/store.js'
import { newStreamId } from '../stream/id.js'
import { Connection, failure, type Template } from './connection.js'
import { ReadQueue } from './read-queue.js'
import { RunBus } from './run-bus.js'
import { LOST, RunCommands, type RunMessage } from './run-commands.js'
import { RedisRunLog } from './run-log.js'
import { BEAT } from './run-scripts.js'
import { RedisRunWriter, type RunSink } from './run-writer.js'

/** The delay before a command is sent again after its connection was lost, ms. */
const PAUSE = 100
/** The time for which the end of a run is tried whose start has failed, ms. */
const DISCARD = 600_000
/** Matches the errors of commands that Redis refuses, and would refuse again. */
const REFUSED = /^(ERR|WRONGTYPE|NOPERM|OOM) /

/** The connections of a store that is used. They are separate, because a blocking read and the reads of events delay all later commands on their connection. */
interface Session {
  readonly commands: Connection
  readonly reads: Connection
  readonly bus: RunBus
}

/**
 * Keeps runs in Redis, for all processes. Connects at the first call. Each run is a stream in Redis. The messages of a bus, another
 * stream, wake up the readers of all processes. A process that runs sources renews a lease. A process that reads a run checks the lease
 * of its producer.
 */
export class RedisRunStore implements RunStore, RunSink {
  readonly #template: () => Promise<Template>
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  readonly #commands: RunCommands
  readonly #queue = new ReadQueue<string[]>()
  /** The runs that this process reads or has found lately, and those whose sources it runs. */
  readonly #logs = new Map<string, RedisRunLog>()
  readonly #writers = new Map<string, RedisRunWriter>()
  #session: Promise<Session> | null = null
  /** Closes the connections. Null before there are any. */
  #disconnect: (() => void) | null = null
  #timer: NodeJS.Timeout | undefined
  #renewing = false
  #checking = false
  #closed = false

  /** @param timeout the longest time that Redis may take for an answer, ms */
  constructor (template: () => Promise<Template>, key: string, timeout: number, log: FastifyBaseLogger) {
    this.#template = template
    this.#timeout = timeout
    this.#log = log
    this.#commands = new RunCommands(key, newStreamId())
  }

  async start (key: string, limits: RunLimits, onStop: () => void, restart: boolean): Promise<StartedRun> {
    const id = newStreamId()
    try {
      const { created, run } = await this.#command((commands, { bus }) => this.#commands.start(commands, key, id, limits.keep, restart, bus.trust))
      if (!created) return { log: this.#logOf(run), writer: null }
      const writer = new RedisRunWriter(run, limits, onStop, this)
      this.#writers.set(id, writer)
      this.#add(writer)
      return { log: writer, writer }
    } catch (error) {
      // Redis may have started the run, although its answer was lost
      this.endRun(id, 'failed', LOST, real.now() + DISCARD).catch(() => {})
      throw error
    }
  }

  async find (key: string): Promise<RunLog | null> {
    const run = await this.#find(key, false)
    return run === null ? null : this.#logOf(run)
  }

  async stop (key: string): Promise<boolean> {
    const run = await this.#find(key, true)
    return run?.state === 'running'
  }

  async close (): Promise<void> {
    this.#closed = true
    real.clearTimeout(this.#timer)
    this.#disconnect?.()
  }

  appendEvents (id: string, from: number, events: readonly string[], until: number): Promise<SSERun | null> {
    return this.#command((commands) => this.#commands.append(commands, id, from, events), until)
  }

  endRun (id: string, state: Exclude<RunState, 'running'>, last: string, until: number): Promise<SSERun | null> {
    return this.#command((commands) => this.#commands.end(commands, id, state, last), until, true)
  }

  idleElsewhere (id: string): Promise<number> {
    return this.#command((commands) => this.#commands.idle(commands, id))
  }

  async readEvents (id: string, after: number, limit: number): Promise<readonly string[]> {
    const page = await this.#ask(({ reads }) => this.#queue.run({
      key: `${id} ${after} ${limit}`,
      run: () => reads.run({ timeout: this.#timeout }, () => this.#commands.read(reads, id, after, limit)),
      // a shorter page may be continued by later events
      isKept: (events) => events.length === limit
    }, undefined))
    if (!page?.length) throw failure(new Error(`Redis no longer has the event ${after + 1} of the run ${id}`))
    return page
  }

  /** Checks a run at once, because its reader counts from now on, and the process may have missed a message before it knew the run. */
  onRead (log: RedisRunLog): void {
    if (this.#writers.has(log.id)) return
    this.#add(log)
    this.#check([log])
  }

  onEnd (writer: RedisRunWriter): void {
    this.#writers.delete(writer.id)
  }

  #find (key: string, stops: boolean): Promise<SSERun | null> {
    return this.#command((commands, { bus }) => this.#commands.find(commands, key, bus.trust, stops))
  }

  /** Returns the log of a run that Redis has returned. */
  #logOf (run: SSERun): RedisRunLog {
    const known = this.#logs.get(run.id)
    if (known === undefined) return this.#add(new RedisRunLog(run, this))
    known.update(run)
    return known
  }

  #add (log: RedisRunLog): RedisRunLog {
    this.#logs.set(log.id, log)
    if (!this.#closed) this.#timer ??= real.setTimeout(this.#beat, BEAT).unref()
    return log
  }

  #receive = (message: RunMessage): void => {
    if (message.kind === 'stop') this.#writers.get(message.run)?.onStop()
    else this.#logs.get(message.run)?.receive(message)
  }

  /** Renews the lease, checks the runs that are read, and forgets those that are not. */
  #beat = (): void => {
    for (const [id, log] of this.#logs) if (!this.#writers.has(id) && log.unreadFor > BEAT) this.#logs.delete(id)
    this.#timer = this.#logs.size === 0 ? undefined : real.setTimeout(this.#beat, BEAT).unref()
    if (this.#writers.size > 0 && !this.#renewing) this.#renew()
    const read = [...this.#logs.values()].filter(({ id, isRead }) => isRead && !this.#writers.has(id))
    if (read.length === 0 || this.#checking) return
    this.#checking = true
    this.#check(read).then(() => { this.#checking = false })
  }

  /** Renews the lease of this process. Tries again until it is renewed. Stops the sources of runs that have to stop, or have ended. */
  async #renew (): Promise<void> {
    this.#renewing = true
    const writers = [...this.#writers.values()]
    try {
      const runs = await this.#command(async (commands, { bus }) => {
        const { time, runs } = await this.#commands.renew(commands, writers)
        bus.setTime(time)
        return runs
      }, Infinity)
      for (const { writer, stops, run } of runs) {
        writer.update(run)
        if (stops || run?.state !== 'running') writer.onStop()
      }
    } catch (err) {
      if (!this.#closed) this.#log.error({ err }, 'the lease for the runs of this process could not be renewed')
    } finally {
      this.#renewing = false
    }
  }

  /** Checks runs that this process reads. Never rejects. */
  async #check (logs: readonly RedisRunLog[]): Promise<void> {
    try {
      const runs = await this.#command(async (commands, { bus }) => {
        const { time, runs } = await this.#commands.check(commands, logs.map(({ id }) => id), bus.trust)
        bus.setTime(time)
        return runs
      })
      for (const [i, log] of logs.entries()) log.update(runs[i] ?? null)
    } catch (err) {
      if (!this.#closed) this.#log.debug({ err }, 'runs could not be checked, which is tried again')
    }
  }

  /** Calls `work` when commands can be sent. Rejects as `#ask`. */
  #command<Result> (work: (commands: Connection, session: Session) => Promise<Result>, until?: number, again?: boolean): Promise<Result> {
    return this.#ask((session) => session.commands.run({ timeout: this.#timeout }, () => work(session.commands, session)), until, again)
  }

  /**
   * Calls `work` with the connections. Calls it again after a lost connection, until a time on the clock of `real.now()`, so that `work`
   * must be the same if it is repeated.
   * @param again calls `work` again also after Redis has refused a command
   * @throws SSE_ERR_CLOSING after `close()`; SSE_ERR_BACKPLANE if Redis fails
   */
  async #ask<Result> (work: (session: Session) => Promise<Result>, until = real.now() + this.#timeout, again = false): Promise<Result> {
    for (;;) {
      if (this.#closed) throw new SSE_ERR_CLOSING()
      try {
        this.#session ??= this.#connect()
        return await work(await this.#session)
      } catch (error) {
        if (this.#closed) throw new SSE_ERR_CLOSING()
        const refused = error instanceof Error && REFUSED.test(error.message)
        if (real.now() >= until || (refused && !again)) throw failure(error)
        await real.wait(refused ? BEAT : PAUSE, undefined, { ref: false })
      }
    }
  }

  async #connect (): Promise<Session> {
    try {
      const template = await this.#template()
      if (this.#closed) throw new SSE_ERR_CLOSING()
      const [commands, reads] = [new Connection(template), new Connection(template)]
      const bus = new RunBus(new Connection(template), this.#commands, this.#timeout, this.#log)
      const disconnect = () => { for (const connection of [commands, reads, bus]) connection.close() }
      this.#disconnect = disconnect
      try {
        await bus.open()
      } catch (error) {
        disconnect()
        throw error
      }
      bus.run(this.#receive)
      return { commands, reads, bus }
    } catch (error) {
      this.#session = null
      throw error
    }
  }
}
