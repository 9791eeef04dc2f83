import { createParser } from 'eventsource-parser'
import type { FastifyInstance } from 'fastify'
import { internalsOf } from '../../lib/pubsub/facade.js'
import type { Hub } from '../../lib/pubsub/hub.js'
import type { StreamRegistry } from '../../lib/stream/registry.js'
import type { SSE } from '../../lib/index.js'
import { type InjectedEvent, type InjectedStream, injectSSE } from '../../lib/testing.js'
import { until } from './until.js'

/** Declares `/on/:topics`, which follows the topics that are named in its path, with commas between them. */
export function serveTopics (app: FastifyInstance): void {
  app.sseRoute<{ Params: { topics: string } }>('/on/:topics', { topics: ({ params }) => params.topics.split(',') })
}

/** Opens a stream of `/on/:topics`, or of a path; with the id that its client saw last, if any. */
export function follow (app: FastifyInstance, topics: string, lastEventId?: string): Promise<InjectedStream> {
  const url = topics.startsWith('/') ? topics : `/on/${topics}`
  return injectSSE(app, { url, headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } })
}

/** The next events of a stream. */
export async function take (stream: InjectedStream, count: number): Promise<InjectedEvent[]> {
  const events: InjectedEvent[] = []
  while (events.length < count) {
    const event = await stream.next()
    if (event === undefined) throw new Error(`The stream ended after ${events.length} of ${count} events`)
    events.push(event)
  }
  return events
}

/** The data of the next events of a stream. */
export async function takeData (stream: InjectedStream, count: number): Promise<string[]> {
  return (await take(stream, count)).map(({ data }) => data)
}

/** Publishes events to a topic, one after the other; their ids. */
export async function publishAll (app: FastifyInstance, topic: string, ...events: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const event of events) ids.push(await app.sse.publish(topic, event))
  return ids
}

/** The events of a text, as a client sees them. */
export function eventsOf (text: string): InjectedEvent[] {
  const events: InjectedEvent[] = []
  createParser({ onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data }) }).feed(text)
  return events
}

/** The ids of all `id:` lines of a text, those of no event included. */
export function idsOf (text: string): string[] {
  return Array.from(text.matchAll(/^id: (.*)$/gm), ([, id = '']) => id)
}

/** The state that the plugin keeps behind `app.sse`. */
export type HubState = Pick<Hub, 'topics' | 'newest' | 'oldestId' | 'read'> & Pick<StreamRegistry, 'streams' | 'clients' | 'timers'> & Pick<SSE, 'stats'>

export function hubOf ({ sse }: Pick<FastifyInstance, 'sse'>): HubState {
  const { hub, registry } = internalsOf(sse)
  const { streams, clients, timers } = registry
  return {
    streams,
    clients,
    timers,
    topics: hub.topics,
    stats: () => sse.stats(),
    get newest () { return hub.newest },
    get oldestId () { return hub.oldestId },
    read: (after, limit) => hub.read(after, limit)
  }
}

/** Waits until a number has not changed for a while. */
export async function untilStable (what: string, read: () => number): Promise<void> {
  let [last, times] = [NaN, 0]
  await until(`${what} at rest`, () => {
    const now = read()
    times = now === last ? times + 1 : 0
    last = now
    return times === 10
  })
}
