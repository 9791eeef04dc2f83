// Tested by test/redis/run-store.test.ts
import { encode } from '../event/encode.js'
import type { RunState, SSERun } from '../runs/store.js'
import type { Connection } from './connection.js'
import { entriesOf } from './entry.js'
import { CHECK, FIND, IDLE, OPEN_BUS, READ_RUN, RENEW, START, STORE } from './run-scripts.js'

/** A message of the bus: events were appended to a run, and it has ended if `state` is not `running`; or a run has to stop. */
export type RunMessage = {
  readonly kind: 'events'
  readonly run: string
  /** Numbers of the first and of the last event. `to` is less than `from` if the run has ended without another event. */
  readonly from: number
  readonly to: number
  /** The events; empty if they are too large for the bus. */
  readonly texts: readonly string[]
  readonly state: RunState
  readonly endedAt: Date | null
} | { readonly kind: 'stop', readonly run: string }

/** The last event of a lost run. */
export const LOST = encode({ event: 'error', data: { message: 'The run is lost' } })

/** The number of bytes after which a page of events ends. A page has at least one event, also if it is larger. */
const PAGE_BYTES = 262_144
/** The greatest number of messages that one read of the bus returns. */
const BATCH = 256

/** Sends the commands for runs, on the connection that is passed to each method. The methods reject as `Connection.send` does. */
export class RunCommands {
  readonly #keys: string[]
  readonly #bus: string
  readonly #producer: string

  /** @param key the text that all keys have in braces @param producer the id of this process */
  constructor (key: string, producer: string) {
    this.#keys = [`{${key}}:run`]
    this.#bus = `{${key}}:runs`
    this.#producer = producer
  }

  /** Resolves to the time of Redis and the id of the newest message of the bus. */
  async open (connection: Connection): Promise<{ time: number, newest: string }> {
    const [time, newest] = await OPEN_BUS.run(connection, this.#keys, []) as [string, string]
    return { time: Number(time), newest }
  }

  /** Waits until a message follows the id `position`, at most `block` ms. Resolves to the messages after `position` with their ids. */
  async readBus (connection: Connection, position: string, block: number): Promise<Array<[id: string, message: RunMessage]>> {
    const reply = await connection.send('XREAD', 'COUNT', String(BATCH), 'BLOCK', String(block), 'STREAMS', this.#bus, position)
    return entriesOf(reply).map(([id, fields]) => [id, messageOf(fields)])
  }

  /** Starts the run `id`, unless a run of the key is going on. Resolves to the new run, or to the one that is going on. */
  async start (connection: Connection, key: string, id: string, keep: number, restart: boolean, trust: number): Promise<{ created: boolean, run: SSERun }> {
    const args = [key, id, this.#producer, String(keep), restart ? '1' : '', String(trust), LOST]
    const [created, ...run] = await START.run(connection, this.#keys, args) as [number, ...Fields]
    return { created: created === 1, run: readRun(run) }
  }

  /** Resolves to the newest run of a key, null if there is none. @param stops stops the run if it is going on */
  async find (connection: Connection, key: string, trust: number, stops: boolean): Promise<SSERun | null> {
    return readFound(await FIND.run(connection, this.#keys, [key, String(trust), LOST, stops ? '1' : '']))
  }

  /** Appends events, the first of which has the number `from`. Resolves to the run, null if there is none. */
  async append (connection: Connection, id: string, from: number, events: readonly string[]): Promise<SSERun | null> {
    return readFound(await STORE.run(connection, this.#keys, [id, String(from), '', ...events]))
  }

  /** Ends a run with its last event (`''`: none). Resolves to the run, null if there is none. */
  async end (connection: Connection, id: string, state: Exclude<RunState, 'running'>, last: string): Promise<SSERun | null> {
    return readFound(await STORE.run(connection, this.#keys, [id, '0', state, ...(last === '' ? [] : [last])]))
  }

  /** Renews the lease of this process and the expiry of its runs. Resolves for each writer to its run in Redis, and to whether it has to stop. */
  async renew<Writer extends { readonly id: string }> (connection: Connection, writers: readonly Writer[]): Promise<{ time: number, runs: Array<{ writer: Writer, stops: boolean, run: SSERun | null }> }> {
    const [time, replies] = await RENEW.run(connection, this.#keys, [this.#producer, ...writers.map(({ id }) => id)]) as [string, unknown[]]
    const runs = writers.map((writer, i) => {
      const [stops, ...run] = replies[i] as [number, ...Fields]
      return { writer, stops: stops === 1, run: readFound(run) }
    })
    return { time: Number(time), runs }
  }

  /** Marks runs as read, and as lost if their producer is dead. */
  async check (connection: Connection, ids: readonly string[], trust: number): Promise<{ time: number, runs: Array<SSERun | null> }> {
    const [time, runs] = await CHECK.run(connection, this.#keys, [String(trust), LOST, ...ids]) as [string, unknown[]]
    return { time: Number(time), runs: runs.map(readFound) }
  }

  /** Resolves to up to `limit` events after the event number `after`. */
  async read (connection: Connection, id: string, after: number, limit: number): Promise<string[]> {
    return await READ_RUN.run(connection, this.#keys, [id, after, limit, PAGE_BYTES].map(String)) as string[]
  }

  /** Resolves to the time for which no other process has read a run, ms. */
  async idle (connection: Connection, id: string): Promise<number> {
    return Number(await IDLE.run(connection, this.#keys, [id]))
  }
}

type Fields = string[]

/** Reads the reply for a run, which is empty if there is no run. */
function readFound (reply: unknown): SSERun | null {
  const fields = reply as Fields
  return fields.length === 0 ? null : readRun(fields)
}

function readRun ([id = '', key = '', state, startedAt, endedAt, , events]: Fields): SSERun {
  return { id, key, state: state as RunState, events: Number(events), startedAt: new Date(Number(startedAt)), endedAt: dateOf(endedAt) }
}

function dateOf (time: string | undefined): Date | null {
  return time ? new Date(Number(time)) : null
}

function messageOf (fields: readonly string[]): RunMessage {
  const [kind, run = '', ...rest] = fields
  if (kind === 'stop') return { kind, run }
  const found = new Map<string, string>()
  const texts: string[] = []
  for (let i = 0; i < rest.length; i += 2) {
    const [name = '', value = ''] = rest.slice(i, i + 2)
    if (name === 'text') texts.push(value)
    else found.set(name, value)
  }
  const state = (found.get('state') ?? 'running') as RunState
  return { kind: 'events', run, from: Number(found.get('from')), to: Number(found.get('to')), texts, state, endedAt: dateOf(found.get('endedAt')) }
}
