import { AssertionError } from 'node:assert/strict'
import { test } from 'tap'
import type { Backplane, BackplaneListener, Control, HistorySettings, Page, Publication, Reader, StartPositions } from '../../lib/backplane.js'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { testBackplane } from '../../lib/testing/backplane/index.js'

/** A backplane that keeps no promise but those of the one in process. Each fault below overrides one of its methods. */
class Faulty extends MemoryBackplane {
  listener: BackplaneListener = { onEvent () {}, onControl () {}, onGap () {} }

  override async open (listener: BackplaneListener): Promise<void> {
    this.listener = listener
    await super.open(listener)
  }
}

type Create = (history: HistorySettings) => Backplane

/** Runs the tests of the suite until one fails with an expected message. Returns the messages of all failed tests. */
async function failures (create: Create, expected: RegExp, timeout?: number): Promise<string[]> {
  const tests: Array<() => Promise<void>> = []
  testBackplane((name, run) => tests.push(run), create, timeout === undefined ? {} : { timeout })
  const messages: string[] = []
  for (const run of tests) {
    await run().catch((error: Error) => {
      if (!(error instanceof AssertionError)) throw error
      messages.push(error.message)
    })
    if (messages.some((message) => expected.test(message))) break
  }
  return messages
}

/** Faults of a backplane, each with the messages that name it. */
const FAULTS: Array<[name: string, message: RegExp, create: Create]> = [
  ['events are received with another text', /the received events/, (history) => new class extends Faulty {
    override async open (listener: BackplaneListener): Promise<void> {
      await super.open({ ...listener, onEvent: (event) => listener.onEvent({ ...event, text: event.frame }) })
    }
  }(history)],
  ['events are received twice', /the received events|the number of received events/, (history) => new class extends Faulty {
    override publish (publication: Publication): string {
      super.publish(publication)
      return super.publish(publication)
    }
  }(history)],
  ['events are not received', /received: not within 100 ms/, (history) => new class extends Faulty {
    override async open (listener: BackplaneListener): Promise<void> {
      await super.open({ ...listener, onEvent () {} })
    }
  }(history)],
  ['the time of events is another clock', /`time` is when the event was received/, (history) => new class extends Faulty {
    override async open (listener: BackplaneListener): Promise<void> {
      await super.open({ ...listener, onEvent: (event) => listener.onEvent({ ...event, time: Date.now() }) })
    }
  }(history)],
  ['newest is behind the received event', /`newest` is the id of the received event/, (history) => new class extends Faulty {
    #newest = ''
    override get newest (): string { return this.#newest }
    override async open (listener: BackplaneListener): Promise<void> {
      this.#newest = super.newest
      await super.open({
        ...listener,
        onEvent: (event) => {
          listener.onEvent(event)
          this.#newest = event.id
        },
        onControl: (control) => {
          listener.onControl(control)
          this.#newest = super.newest
        }
      })
    }
  }(history)],
  ['publish returns another id', /publish returns the id of its event|is received: not within|the received events/, (history) => new class extends Faulty {
    override publish (publication: Publication): string {
      const { newest } = this
      super.publish(publication)
      return newest
    }
  }(history)],
  ['control messages are lost', /control/, (history) => new class extends Faulty {
    override control (): string { return this.newest }
  }(history)],
  ['control messages are published as events', /the received events and control messages/, (history) => new class extends Faulty {
    override control (control: Control): string { return this.publish({ to: 'client', names: [control.clientId], except: null, limits: null, frame: 'data: x\n\n' }) }
  }(history)],
  ['events are published after close', /SSE_ERR_CLOSING after close\(\)/, (history) => new class extends Faulty {
    override async close (): Promise<void> {}
  }(history)],
  ['the backplane reports a loss that did not occur', /onGap: no event was lost/, (history) => new class extends Faulty {
    override async open (listener: BackplaneListener): Promise<void> {
      await super.open(listener)
      listener.onGap({ oldestId: null, lastMissedId: this.newest })
    }
  }(history)],
  ['a page is longer than the limit', /events in a page of/, (history) => reading(history, (read, after, reader) => read(after, reader, 5_000))],
  ['a page is empty and does not move the position', /an empty page whose position does not move/, (history) => reading(history, (_read, after) => ({ gap: null, events: [], position: after }))],
  ['pages do not end', /do not end; after 10,000 pages/, (history) => reading(history, () => ({ gap: { oldestId: null, lastMissedId: '0-0' }, events: [], position: '0-0' }))],
  ['a position is from the future', /is greater than newest/, (history) => reading(history, (read, after, reader, limit) => ({ ...read(after, reader, limit), position: '18446744073709551615-0' }))],
  ['a position is before the events of its page', /is in a page with the smaller position/, (history) => reading(history, (read, after, reader, limit) => ({ ...read(after, reader, limit), position: after }))],
  ['no loss is reported', /gap/, (history) => reading(history, (read, after, reader, limit) => ({ ...read(after, reader, limit), gap: null }))],
  ['each page has a gap', /the page|gap/, (history) => reading(history, (read, after, reader, limit) => ({ ...read(after, reader, limit), gap: { oldestId: null, lastMissedId: after } }))],
  ['the first event of a page is missing', /the replayed events|replayed/, (history) => reading(history, (read, after, reader, limit) => {
    const page = read(after, reader, limit)
    return { ...page, events: page.events.slice(1) }
  })],
  ['events of other topics are read', /topics|the replayed/, (history) => reading(history, (read, after, reader, limit) => read(after, { ...reader, topics: new Set([...reader.topics, 'a', 'b', 'c']) }, limit))],
  ['the broadcasts and the client id are part of a rewind', /a rewind of/, (history) => new class extends Faulty {
    override rewind (topics: ReadonlySet<string>, count: number): StartPositions {
      return { ...super.rewind(topics, count), others: '0-0' }
    }
  }(history)],
  ['a rewind begins one event late', /a rewind of/, (history) => new class extends Faulty {
    override rewind (topics: ReadonlySet<string>, count: number): StartPositions {
      return super.rewind(topics, Math.max(1, count - 1))
    }
  }(history)],
  ['the limits of a topic are ignored', /the topic two/, (history) => new class extends Faulty {
    override publish (publication: Publication): string { return super.publish({ ...publication, limits: null }) }
  }(history)],
  ['the size is ignored', /gap|oldestId/, (history) => new Faulty({ ...history, size: 5_000 })],
  ['maxAge is ignored', /all events of the topic were dropped/, (history) => new class extends Faulty {
    override publish (publication: Publication): string { return super.publish({ ...publication, limits: publication.limits?.map((limits) => limits && { ...limits, maxAge: 0 }) ?? null }) }
  }(history)],
  ['one history is for all topics', /without the busy topic/, (history) => new class extends Faulty {
    override publish (publication: Publication): string { return super.publish({ ...publication, to: 'all', names: [] }) }
  }(history)]
]

type Read = (after: string, reader: Reader, limit: number) => Page

/** Returns a backplane with another `read()`. */
function reading (history: HistorySettings, read: (read: Read, ...args: Parameters<Read>) => Page): Backplane {
  return new class extends Faulty {
    override read (after: string, reader: Reader, limit: number): Page {
      return read((...args) => super.read(...args), after, reader, limit)
    }
  }(history)
}

test('every test passes for the log in memory, and again with a longer timeout', async (t) => {
  t.strictSame(await failures((history) => new MemoryBackplane(history), /./), [])
  t.strictSame(await failures((history) => new MemoryBackplane(history), /./, 20_000), [])
})

for (const [name, message, create] of FAULTS) {
  test(`the suite fails if ${name}`, async (t) => {
    const messages = await failures(create, message, 100)
    t.match(messages.at(-1), message, messages.map((text) => text.slice(0, 100)).join('\n'))
  })
}
