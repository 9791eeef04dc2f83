import type { FastifyBaseLogger } from 'fastify'
import type { Backplane } from '../backplane.js'
import { channels, tell } from '../diagnostics.js'
import { type DataWriter, encodePublished } from '../event/encode.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'
import { loggedUnlessAwaited, rejected } from '../stream/logged-promise.js'
import type { StreamRegistry } from '../stream/registry.js'
import { validClientId, validTopic } from '../topic.js'
import type { Audience, Gap, Page, PublishedEvent } from '../backplane.js'
import { type Log, LogSubscription } from './subscription.js'

/** Appends published events to the log, which the backplane keeps, and delivers the events of the log to the streams of this process. */
export class Hub implements Log {
  /** The subscriptions of the streams that have a topic, by topic. */
  readonly topics = new Map<string, Set<Subscription>>()
  readonly #backplane: Backplane
  readonly #registry: Pick<StreamRegistry, 'streams' | 'clients'>
  readonly #writeData: DataWriter
  readonly #log: FastifyBaseLogger
  #lastDispatchedId = ''

  /** Creates a hub. The caller then has to call `open()`. @param writeData encodes the data of published events */
  constructor (backplane: Backplane, registry: Pick<StreamRegistry, 'streams' | 'clients'>, writeData: DataWriter, log: FastifyBaseLogger) {
    this.#backplane = backplane
    this.#registry = registry
    this.#writeData = writeData
    this.#log = log
  }

  async open (): Promise<void> {
    await this.#backplane.open({ onEvent: (event) => this.#dispatch(event), onGap: (gap) => this.#onGap(gap) })
    this.#lastDispatchedId = this.#backplane.newest
  }

  async close (): Promise<void> {
    await this.#backplane.close()
  }

  publish (topic: string, payload: unknown): Promise<string> {
    return this.#publish('topic', topic, validTopic, payload)
  }

  broadcast (payload: unknown): Promise<string> {
    return this.#publish('all', '', String, payload)
  }

  sendTo (clientId: string, payload: unknown): Promise<string> {
    return this.#publish('client', clientId, validClientId, payload)
  }

  get newest (): string {
    return this.#backplane.newest
  }

  get oldestId (): string | null {
    return this.#backplane.oldestId
  }

  read (after: string, limit: number): Page | Promise<Page> {
    return this.#backplane.read(after, limit)
  }

  join (topic: string, subscription: Subscription): void {
    const subscriptions = this.topics.get(topic)
    if (subscriptions === undefined) this.topics.set(topic, new Set([subscription]))
    else subscriptions.add(subscription)
  }

  leave (topic: string, subscription: Subscription): void {
    const subscriptions = this.topics.get(topic)
    if (subscriptions?.delete(subscription) && subscriptions.size === 0) this.topics.delete(topic)
  }

  createSubscription (stream: EventStream, from = this.newest): Subscription {
    return new LogSubscription(stream, this, from)
  }

  #publish (to: Audience, name: unknown, check: (name: unknown) => string, payload: unknown): Promise<string> {
    const message = 'an event was not published'
    try {
      const valid = check(name)
      const published = this.#backplane.publish(to, valid, encodePublished(payload, this.#writeData))
      if (channels.publish.hasSubscribers) onceInLog(published, (id) => tell('publish', { id, to, name: valid, payload }))
      return typeof published === 'string' ? Promise.resolve(published) : loggedUnlessAwaited(published, this.#log, message)
    } catch (error) {
      return rejected(error, this.#log, message)
    }
  }

  /** Called by the backplane for each event of the log. Delivers the event to the streams that it is for: of a topic, of a client id, or all. Hot path. */
  #dispatch (event: PublishedEvent): void {
    const before = this.#lastDispatchedId
    this.#lastDispatchedId = event.id
    if (event.to === 'topic') {
      for (const subscription of this.topics.get(event.name) ?? NONE) subscription.deliver(event)
      return
    }
    const { streams, clients } = this.#registry
    // A new subscription starts at `before`: if the delivery of its stream has not started, it reads this event from the log later.
    if (event.to === 'all') {
      for (const stream of streams.values()) stream.subscribed(before).deliver(event)
      return
    }
    for (const stream of clients.get(event.name) ?? NONE) stream.subscribed(before).deliver(event)
    const stream = streams.get(event.name)
    if (stream?.clientId === event.name) stream.subscribed(before).deliver(event)
  }

  /** Called by the backplane when the log has lost events. Notifies all streams with a subscription or a client id, because the events may have been for any of them. */
  #onGap (gap: Gap): void {
    this.#lastDispatchedId = gap.lastMissedId
    for (const stream of this.#registry.streams.values()) {
      if (stream.clientId !== stream.id) stream.subscribed().onGap(gap)
      else stream.subscription?.onGap(gap)
    }
  }
}

/** Calls `callback` with the id of an event once the event is in the log. Does nothing if publishing fails, because the caller of `publish` handles the failure. */
function onceInLog (published: string | Promise<string>, callback: (id: string) => void): void {
  if (typeof published === 'string') callback(published)
  else published.then(callback, () => {})
}

const NONE: readonly never[] = []
