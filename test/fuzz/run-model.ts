import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import type { Test } from 'tap'
import sse, { type BackplaneFactory } from '../../lib/index.js'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'
import { seed } from './runs.js'
import { soon } from './world.js'

/** The end of a run that the application chooses. */
type End = 'done' | 'failed' | 'stopped'

/** The event that readers get last, by state. */
const LAST: Record<End, string> = { done: 'end ', stopped: 'end ', failed: 'error {"message":"failed"}' }

/** A run as it has to be: the texts of its events, and its state. */
interface Expected {
  id: string
  events: string[]
  state: 'running' | End
}

/** A client that reads a run: the events of its current connection, and the run as the model has it. */
class Reader {
  lastEventId: string | undefined
  stream: InjectedStream | null = null
  over = false
  got: string[] = []
  run: Expected | null = null
  /** Number of events of the run that this reader had before its connection. */
  from = 0

  async follow (stream: InjectedStream): Promise<void> {
    Object.assign(this, { stream, over: false, got: [] })
    for (let event = await stream.next(); event !== undefined; event = await stream.next()) {
      this.got.push(`${event.event} ${event.data}`)
      this.lastEventId = event.id
    }
    if (this.stream === stream) this.over = true
  }
}

class Model {
  newest: Expected | null = null
  sources = 0
  items = 0
  readonly readers = [new Reader(), new Reader(), new Reader()]
}

/** The apps of one or more processes, with a source whose items the test gives, one at a time. */
class World {
  readonly apps: readonly FastifyInstance[]
  readonly #backplane: BackplaneFactory | undefined
  sources = 0
  #queue: unknown[] = []
  #wake: () => void = () => {}

  constructor (count: number, backplane?: BackplaneFactory) {
    this.apps = Array.from({ length: count }, () => Fastify())
    this.#backplane = backplane
  }

  async open (): Promise<void> {
    for (const app of this.apps) {
      await app.register(sse, { drain: { timeout: 100 }, backplane: this.#backplane })
      app.sseRoute({
        method: 'POST', url: '/', end: { event: 'end', data: '' }, onError: () => {}, resumable: { key: () => 'run' }, source: (_request, { signal }) => this.#read(signal)
      })
      app.sseRoute({ url: '/', resume: () => 'run' })
    }
  }

  async close (): Promise<void> {
    await Promise.all(this.apps.map((app) => app.close()))
  }

  /** Returns one of the apps. */
  app (number: number): FastifyInstance {
    const app = this.apps[number % this.apps.length]
    if (app === undefined) throw new Error('there is no app')
    return app
  }

  give (item: unknown): void {
    this.#queue.push(item)
    this.#wake()
  }

  async * #read (signal: AbortSignal): AsyncGenerator<string> {
    this.sources++
    this.#queue = []
    signal.addEventListener('abort', () => this.#wake())
    while (!signal.aborted) {
      const [item] = this.#queue.splice(0, 1)
      if (item === 'done') return
      if (item === 'failed') throw new Error('failed')
      if (item !== undefined) yield String(item)
      else await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }
}

type Command = fc.AsyncCommand<Model, World>

function command (name: string, run: (model: Model, world: World) => Promise<void>, check: (model: Readonly<Model>) => boolean = () => true): Command {
  return {
    toString: () => name,
    check: (model) => check(model),
    async run (model, world) {
      await run(model, world)
      await soon(() => agree(model, world))
    }
  }
}

function agree ({ newest, readers, sources }: Model, world: World): void {
  strictEqual(world.sources, sources, 'the number of calls of the source')
  for (const [number, { run, from, got, over, stream, lastEventId }] of readers.entries()) {
    if (stream === null || run === null) continue
    deepStrictEqual(got, run.events.slice(from), `the events of reader ${number}`)
    strictEqual(over, run.state !== 'running', `whether the response of reader ${number} is over`)
    if (got.length > 0) strictEqual(lastEventId, `${run.id}/${run.events.length}`)
  }
  const stats = world.apps.map(({ sse }) => sse.stats().runs)
  strictEqual(sum(stats.map(({ open }) => open)), newest?.state === 'running' ? 1 : 0)
  strictEqual(sum(stats.map(({ readers }) => readers)), readers.filter(({ stream, over }) => stream !== null && !over).length)
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

/** Connects a reader to an app, with its last event id or without. */
function connect (number: number, app: number, method: 'GET' | 'POST', withId: boolean): Command {
  return command(`${method} by ${number} to ${app}${withId ? ' with its id' : ''}`, async (model, world) => {
    const reader = model.readers[number] ?? new Reader()
    const id = withId ? reader.lastEventId : undefined
    const starts = method === 'POST' && id === undefined && model.newest?.state !== 'running'
    const request = { method, url: '/', headers: id === undefined ? {} : { 'last-event-id': id } }
    if (starts) {
      model.sources++
      model.newest = { id: '', events: [], state: 'running' }
    }
    const { newest } = model
    const known = newest !== null && id?.startsWith(`${newest.id}/`) ? Number(id.split('/')[1]) : 0
    if (newest === null || (newest.state !== 'running' && known === newest.events.length)) {
      strictEqual((await world.app(app).inject(request)).statusCode, 204)
      return
    }
    const stream = await injectSSE(world.app(app), request)
    if (starts) newest.id = (await world.app(app).sse.run('run'))?.id ?? ''
    Object.assign(reader, { run: newest, from: known })
    reader.follow(stream)
  }, ({ readers }) => readers[number]?.stream === null)
}

function leave (number: number): Command {
  return command(`leave ${number}`, async ({ readers }) => {
    const reader = readers[number]
    reader?.stream?.close()
    Object.assign(reader ?? {}, { stream: null, run: null })
  }, ({ readers }) => readers[number]?.stream !== null)
}

function give (count: number): Command {
  return command(`${count} items`, async (model, world) => {
    for (let i = 0; i < count; i++) {
      const item = String(model.items++)
      model.newest?.events.push(`message ${item}`)
      world.give(item)
    }
    // a reader that connects next would otherwise see fewer events
    await reached(model, world)
  }, ({ newest }) => newest?.state === 'running')
}

function end (state: End, app: number): Command {
  return command(`${state} in ${app}`, async (model, world) => {
    const { newest } = model
    if (newest === null) return
    if (state === 'stopped') strictEqual(await world.app(app).sse.stop('run'), true)
    else world.give(state)
    newest.state = state
    newest.events.push(LAST[state])
    await reached(model, world)
  }, ({ newest }) => newest?.state === 'running')
}

/** Waits until the run has the events and the state of the model. */
async function reached ({ newest }: Model, { apps }: World): Promise<void> {
  for (const { sse } of apps) {
    let run = await sse.run('run')
    for (const end = performance.now() + 10_000; run?.events !== newest?.events.length || run?.state !== newest?.state; run = await sse.run('run')) {
      if (performance.now() > end) throw new Error(`the run has ${run?.events} events and is ${run?.state}, not ${newest?.events.length} and ${newest?.state}`)
      await turn()
    }
  }
}

const number = fc.nat(2)
const commands = fc.commands([
  fc.tuple(number, number, fc.constantFrom('GET' as const, 'POST' as const), fc.boolean()).map((args) => connect(...args)),
  number.map(leave),
  fc.integer({ min: 1, max: 300 }).map(give),
  fc.tuple(fc.constantFrom<End>('done', 'failed', 'stopped'), number).map((args) => end(...args))
], { maxCommands: 60, size: 'medium' })

/**
 * Runs random sequences of requests, items and ends, and compares each reader with the model after each step.
 * @param backplaneOf returns the backplane of one sequence; all apps use it
 */
export async function runSequencesOfRuns (t: Test, numRuns: number, apps: number, backplaneOf: () => BackplaneFactory | undefined): Promise<void> {
  t.comment(`seed ${seed}`)
  let steps = 0
  await fc.assert(fc.asyncProperty(commands, async (commands) => {
    const world = new World(apps, backplaneOf())
    await world.open()
    try {
      await fc.asyncModelRun(() => ({ model: new Model(), real: world }), commands)
      steps += Array.from(commands).length
    } finally {
      await world.close()
    }
  }), { seed, numRuns, endOnFailure: false })
  t.comment(`${steps} steps`)
}
