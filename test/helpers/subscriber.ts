import { createParser } from 'eventsource-parser'
import type { FastifyInstance } from 'fastify'
import { internalsOf } from '../../lib/pubsub/facade.js'
import type { Hub } from '../../lib/pubsub/hub.js'
import type { StreamRegistry } from '../../lib/stream/registry.js'
import type { SSE } from '../../lib/index.js'
import { type InjectedEvent, type InjectedStream, injectSSE } from '../../lib/testing.js'
import { until } from './until.js'

/** Declares `/on/:topics`, a route whose streams subscribe to the topics in its path, separated by commas. */
export function serveTopics (app: FastifyInstance): void {
  app.sseRoute<{ Params: { topics: string } }>('/on/:topics', { topics: ({ params }) => params.topics.split(',') })
}

/** Opens a stream of `/on/:topics`, or of a path, with the last event id of its client if there is one. */
export function follow (app: FastifyInstance, topics: string, lastEventId?: string): Promise<InjectedStream> {
  const url = topics.startsWith('/') ? topics : `/on/${topics}`
  return injectSSE(app, { url, headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } })
}

/** Returns the next events of a stream. */
export async function take (stream: InjectedStream, count: number): Promise<InjectedEvent[]> {
  const events: InjectedEvent[] = []
  while (events.length < count) {
    const event = await stream.next()
    if (event === undefined) throw new Error(`The stream ended after ${events.length} of ${count} events`)
    events.push(event)
  }
  return events
}

/** Returns the data of the next events of a stream. */
export async function takeData (stream: InjectedStream, count: number): Promise<string[]> {
  return (await take(stream, count)).map(({ data }) => data)
}

/** Publishes events to a topic, one after the other, and returns their ids. */
export async function publishAll (app: FastifyInstance, topic: string, ...events: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const event of events) ids.push(await app.sse.publish(topic, event))
  return ids
}

/** Parses the events of a text as a client does. */
export function eventsOf (text: string): InjectedEvent[] {
  const events: InjectedEvent[] = []
  createParser({ onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data }) }).feed(text)
  return events
}

/** Returns the ids of all `id:` lines of a text, including those without an event. */
export function idsOf (text: string): string[] {
  return Array.from(text.matchAll(/^id: (.*)$/gm), ([, id = '']) => id)
}

/** Returns the hub and the registry behind `app.sse`. */
export function privatePartsOf (sse: SSE): { hub: Hub, registry: StreamRegistry } {
  const found = internalsOf(sse)
  if (found === undefined) throw new Error('not the `app.sse` of lib')
  return found
}

/** The state that the plugin keeps behind `app.sse`. */
export type HubState = Pick<Hub, 'topics' | 'newest' | 'oldestId' | 'read'> & Pick<StreamRegistry, 'streams' | 'clients' | 'timers'> & Pick<SSE, 'stats'>

export function hubOf ({ sse }: Pick<FastifyInstance, 'sse'>): HubState {
  const { hub, registry } = privatePartsOf(sse)
  const { streams, clients, timers } = registry
  return {
    streams,
    clients,
    timers,
    topics: hub.topics,
    stats: () => sse.stats(),
    get newest () { return hub.newest },
    get oldestId () { return hub.oldestId },
    read: (after, reader, limit) => hub.read(after, reader, limit)
  }
}

/** Waits until a number has not changed for ten checks. */
export async function untilStable (what: string, read: () => number): Promise<void> {
  let [last, times] = [NaN, 0]
  await until(`${what} to be stable`, () => {
    const now = read()
    times = now === last ? times + 1 : 0
    last = now
    return times === 10
  })
}
