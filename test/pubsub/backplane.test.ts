import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { test, type Test } from 'tap'
import type { Backplane, BackplaneListener, Control, Publication, Reader, StartPositions } from '../../lib/backplane.js'
import { compareEventIds } from '../../lib/event/id.js'
import sse, { type Gap, type HistorySettings, type Page, SSEPluginOptions, SSEStream } from '../../lib/index.js'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { makeApp, until } from '../helpers/app.js'
import { follow, hubOf, publishAll, serveTopics, take, takeData } from '../helpers/subscriber.js'

/** A remote log: publishing, receiving and reading take time. */
class RemoteBackplane implements Backplane {
  newest: string
  /** Delay before an event is received, ms; -1: none. */
  receiving = -1
  reading = 1
  /** Called after a page is read and before it is returned. */
  onRead = (): void => {}
  /** The error of the next calls. */
  failure: Error | null = null
  reads = 0
  closed = 0
  /** Reports lost events. */
  lose: (gap: Gap) => void = () => {}
  readonly settings: HistorySettings
  readonly #log: MemoryBackplane

  constructor (settings: HistorySettings) {
    this.settings = settings
    this.#log = new MemoryBackplane(settings)
    this.newest = this.#log.newest
  }

  get oldestId (): string | null { return this.#log.oldestId }

  async open ({ onEvent, onControl, onGap }: BackplaneListener): Promise<void> {
    if (this.failure !== null) throw this.failure
    this.lose = (gap) => {
      this.newest = gap.lastMissedId
      onGap(gap)
    }
    let order = Promise.resolve()
    const arrived = (id: string, receive: () => void) => {
      this.newest = id
      receive()
    }
    const receive = (id: string, listen: () => void) => {
      if (this.receiving < 0) arrived(id, listen)
      else order = order.then(() => wait(this.receiving)).then(() => arrived(id, listen))
    }
    await this.#log.open({
      onEvent: (event) => receive(event.id, () => onEvent(event)),
      onControl: (control) => receive(this.#log.newest, () => onControl(control)),
      onGap
    })
  }

  async publish (publication: Publication): Promise<string> {
    await turn()
    if (this.failure !== null) throw this.failure
    return this.#log.publish(publication)
  }

  async control (control: Control): Promise<string> {
    await turn()
    return this.#log.control(control)
  }

  async read (after: string, reader: Reader, limit: number): Promise<Page> {
    this.reads++
    // events that are not received yet are not read either
    const { gap, events, position } = this.#log.read(after, reader, limit)
    const isReceived = (id: string) => compareEventIds(id, this.newest) <= 0
    const ahead = compareEventIds(after, this.newest) > 0 ? after : this.newest
    const page = { gap, events: events.filter(({ id }) => isReceived(id)), position: isReceived(position) ? position : ahead }
    this.onRead()
    await wait(this.reading)
    if (this.failure !== null) throw this.failure
    return page
  }

  async rewind (topics: ReadonlySet<string>, count: number): Promise<StartPositions> {
    return this.#log.rewind(topics, count)
  }

  async close (): Promise<void> {
    this.closed++
    await this.#log.close()
  }
}

async function makeRemote (t: Test, options: SSEPluginOptions = {}) {
  const lines: string[] = []
  const made: RemoteBackplane[] = []
  const backplane = (settings: HistorySettings) => {
    const remote = new RemoteBackplane(settings)
    made.push(remote)
    return remote
  }
  const app = await makeApp(t, { ...options, backplane }, { logger: { level: 'error', stream: { write: (line) => { lines.push(line) } } } })
  const [remote] = made
  if (remote === undefined || made.length > 1) throw new Error(`${made.length} backplanes were made`)
  return { app, remote, lines }
}

test('a custom backplane', async (t) => {
  t.test('a backplane is made once, with the history settings, and closed after the streams of the app', async (t) => {
    for (const [history, settings] of [
      [undefined, { size: 1_000, maxAge: 3_600_000, maxBytes: 67_108_864 }], [{ maxAge: 5 }, { size: 1_000, maxAge: 5, maxBytes: 67_108_864 }],
      [{ size: 2, maxAge: 0, maxBytes: 9 }, { size: 2, maxAge: 0, maxBytes: 9 }], [false, { size: 0, maxAge: 3_600_000, maxBytes: 67_108_864 }]
    ] as const) {
      const { app, remote } = await makeRemote(t, { history })
      t.strictSame(remote.settings, settings)
      const closed: number[] = []
      app.sseRoute('/', { topics: ['a'], onDisconnect: () => { closed.push(remote.closed) } })
      await follow(app, '/')
      await app.close()
      t.strictSame([...closed, remote.closed], [0, 1])
    }
  })

  t.test('a backplane without a method is refused by the name of the method', async (t) => {
    for (const [given, message] of [[undefined, /got one that gave undefined without a method "open"/], [{ async open () {} }, /an object \(Object\) without a method "publish"/]] as const) {
      const app = Fastify()
      await t.rejects(async () => app.register(sse, { backplane: () => given as unknown as Backplane }), { code: 'SSE_ERR_OPTION', message })
    }
  })

  t.test('a backplane that cannot be opened makes register reject', async (t) => {
    const failure = new Error('unreachable')
    await t.rejects(makeApp(t, { backplane: (settings) => Object.assign(new RemoteBackplane(settings), { failure }) }), failure)
  })

  t.test('a backplane that refuses an event rejects publish, and streams continue', async (t) => {
    const { app, remote, lines } = await makeRemote(t)
    serveTopics(app)
    const stream = await follow(app, 'a')
    remote.failure = new Error('refused')
    for (const refused of [app.sse.publish('a', 'x'), app.sse.broadcast('x'), app.sse.sendTo('a', 'x')]) await t.rejects(refused, remote.failure)
    remote.failure = null
    await publishAll(app, 'a', 'next')
    t.strictSame(await takeData(stream, 1), ['next'])
    t.strictSame(lines, [])
  })
})

test('events that the log has lost', async (t) => {
  t.test('streams that lost events may concern get a gap', async (t) => {
    const { app, remote } = await makeRemote(t, { clientId: ({ query }) => (query as { user?: string }).user ?? 'nobody' })
    serveTopics(app)
    app.sseRoute('/user', { onConnect: (_request, stream) => stream.send('hello') })
    const [id] = await publishAll(app, 'a', 'seen')
    const [topic, user] = [await follow(app, 'a', id), await follow(app, '/user?user=ann')]
    t.strictSame(await takeData(user, 1), ['hello'])
    const lastMissedId = `${Number(id?.split('-')[0]) + 5_000}-0`
    remote.lose({ oldestId: null, lastMissedId })
    t.strictSame(await take(topic, 1), [{ id: lastMissedId, event: 'gap', data: JSON.stringify({ lastEventId: id, oldestId: null }) }])
    t.strictSame(await take(user, 1), [{ id: undefined, event: 'gap', data: JSON.stringify({ lastEventId: null, oldestId: null }) }])
    t.equal(app.sse.stats().gaps, 2)
  })

  t.test('streams without topics and client id get no gap', async (t) => {
    const { app, remote } = await makeRemote(t)
    app.sseRoute('/', { interval: 20, payload: () => 'tick' })
    const stream = await follow(app, '/')
    remote.lose({ oldestId: null, lastMissedId: remote.newest })
    t.strictSame(await takeData(stream, 3), ['tick', 'tick', 'tick'])
    t.equal(app.sse.stats().gaps, 0)
  })

  t.test('a gap is sent after onConnect to a stream that is not live yet', async (t) => {
    const { app, remote } = await makeRemote(t)
    let greet = () => {}
    app.sseRoute('/', { topics: ['a'], onConnect: () => new Promise<void>((resolve) => { greet = resolve }) })
    const ids = await publishAll(app, 'a', 'seen', 'held')
    const stream = await follow(app, '/', ids[0])
    const lastMissedId = `${Number(ids[1]?.split('-')[0]) + 5_000}-0`
    remote.lose({ oldestId: null, lastMissedId })
    remote.read = async (after) => ({ gap: after === lastMissedId ? null : { oldestId: null, lastMissedId }, events: [], position: lastMissedId })
    greet()
    t.match(await take(stream, 1), [{ id: lastMissedId, event: 'gap' }])
    t.equal(app.sse.stats().gaps, 1)
  })
})

test('replay from a log that is read asynchronously', async (t) => {
  for (const [what, settings] of Object.entries({
    'that takes a turn to read': { reading: 0 },
    'that takes long to read': { reading: 20 },
    'that is received late': { reading: 1, receiving: 1 }
  })) {
    t.test(`a replay sends each event once and in order, also events received during a read, from a log ${what}`, async (t) => {
      const { app, remote } = await makeRemote(t)
      Object.assign(remote, settings)
      serveTopics(app)
      const published: Promise<string>[] = []
      let later = 0
      const publishLater = () => {
        later--
        publish()
      }
      const publish = () => {
        published.push(app.sse.publish('a', String(published.length)))
        app.sse.publish('b', 'another').catch(t.error)
      }
      for (let i = 0; i < 150; i++) publish()
      const ids = await Promise.all(published)
      await until('all are received', () => compareEventIds(remote.newest, ids.at(-1) ?? '') >= 0)
      remote.onRead = () => {
        if (published.length >= 250) return
        // before, while and after the page is returned
        later += 2
        publish()
        setImmediate(publishLater)
        setTimeout(publishLater, 2)
      }
      const streams = await Promise.all([0, 20, 130, 148].map((start) => follow(app, 'a', ids[start])))
      await until('many are published', () => published.length >= 170)
      remote.onRead = () => {}
      await until('none is to be published later', () => later === 0)
      const all = await Promise.all(published.concat(app.sse.publish('a', 'last')))
      for (const [index, start] of [0, 20, 130, 148].entries()) {
        const stream = streams[index] ?? await follow(app, 'a')
        t.strictSame((await take(stream, all.length - start - 1)).map(({ id }) => id), all.slice(start + 1))
      }
      t.equal(app.sse.stats().gaps, 0)
      t.ok(remote.reads >= 4)
    })
  }

  t.test('a replay knows an id that this process has not received yet', async (t) => {
    const { app, remote } = await makeRemote(t)
    serveTopics(app)
    remote.receiving = 30
    const ids = await publishAll(app, 'a', '0', '1', '2')
    t.ok(compareEventIds(remote.newest, ids[0] ?? '') < 0)
    const [second, third] = [await follow(app, 'a', ids[0]), await follow(app, 'a', ids[1])]
    t.strictSame(await takeData(second, 2), ['1', '2'])
    t.strictSame(await takeData(third, 1), ['2'])
    t.equal(app.sse.stats().gaps, 0)
  })

  t.test('a replay that fails aborts its stream and is logged, and other streams continue', async (t) => {
    const { app, remote, lines } = await makeRemote(t)
    const left: SSEStream[] = []
    app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => stream.send('hello'), onDisconnect: (_request, stream) => { left.push(stream) } })
    const [first] = await publishAll(app, 'a', 'seen', 'missed')
    const other = await follow(app, '/')
    remote.onRead = () => { remote.failure = new Error('lost') }
    const stream = await follow(app, '/', first)
    t.strictSame(await takeData(stream, 1), ['hello'])
    await t.rejects(stream.next(), 'it is broken off, so that its client comes back')
    t.strictSame(left.map(({ closeReason }) => closeReason), ['error'])
    t.equal(lines.length, 1)
    t.match(lines[0], '"lost"')
    remote.onRead = () => {}
    remote.failure = null
    const again = await follow(app, '/', first)
    await publishAll(app, 'a', 'next')
    t.strictSame(await takeData(other, 2), ['hello', 'next'])
    t.strictSame(await takeData(again, 3), ['hello', 'missed', 'next'])
  })

  t.test('a replay stops when its client disconnects', async (t) => {
    const { app, remote, lines } = await makeRemote(t)
    serveTopics(app)
    const [first] = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, (_, index) => String(index)))
    remote.reading = 100
    const [resumed, lost] = [await follow(app, 'a', first), await follow(app, 'a', '1-1')]
    lost.close()
    await take(resumed, 1)
    resumed.close()
    await until('both are gone', () => app.sse.streams.size === 0)
    const { replayed } = app.sse.stats()
    t.ok(replayed < 999)
    await wait(150)
    t.equal(app.sse.stats().replayed, replayed)
    t.equal(app.sse.stats().gaps, 0, 'nobody was told of a gap')
    const late = await follow(app, 'a', first)
    remote.failure = new Error('too late to matter')
    late.close()
    await until('it is gone', () => app.sse.streams.size === 0)
    await wait(150)
    t.strictSame(lines, [])
    t.strictSame([hubOf(app).topics.size, hubOf(app).clients.size], [0, 0])
  })
})
