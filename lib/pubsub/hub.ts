import type { FastifyBaseLogger } from 'fastify'
import { channels, tell } from '../diagnostics.js'
import { type DataWriter, encodePublished } from '../event/encode.js'
import type { Subscription } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'
import { loggedUnlessAwaited, rejected } from '../stream/logged-promise.js'
import type { StreamRegistry } from '../stream/registry.js'
import { validClientId, validExcept } from '../topic.js'
import { nameOfTopic, type Targets, validTargets } from '../topics/targets.js'
import type { Audience, Backplane, Control, Gap, Page, PublishedEvent, Reader, StartPositions } from '../backplane.js'
import type { Definitions } from './definitions.js'
import { type Log, LogSubscription } from './subscription.js'

/** Appends published events to the log, which the backplane keeps, and delivers the events of the log to the streams of this process. */
export class Hub implements Log {
  /** The subscriptions of the streams that have a topic, by topic. */
  readonly topics = new Map<string, Set<Subscription>>()
  readonly #backplane: Backplane
  readonly #registry: Pick<StreamRegistry, 'streams' | 'ofClient'>
  readonly #writeData: DataWriter
  readonly #definitions: Definitions
  readonly #log: FastifyBaseLogger
  #lastDispatchedId = ''

  /** Creates a hub. The caller then has to call `open()`. @param writeData encodes the data of events for topics without definition */
  constructor (backplane: Backplane, registry: Pick<StreamRegistry, 'streams' | 'ofClient'>, writeData: DataWriter, definitions: Definitions, log: FastifyBaseLogger) {
    this.#backplane = backplane
    this.#registry = registry
    this.#writeData = writeData
    this.#definitions = definitions
    this.#log = log
  }

  async open (): Promise<void> {
    await this.#backplane.open({
      onEvent: (event) => this.#dispatch(event),
      onControl: (control) => this.#onControl(control),
      onGap: (gap) => this.#onGap(gap)
    })
    this.#lastDispatchedId = this.#backplane.newest
  }

  async close (): Promise<void> {
    await this.#backplane.close()
  }

  publish (topics: unknown, payload: unknown, options?: unknown): Promise<string> {
    return this.#publish('topic', topics, payload, options)
  }

  broadcast (payload: unknown): Promise<string> {
    return this.#publish('all', undefined, payload)
  }

  sendTo (clientId: unknown, payload: unknown): Promise<string> {
    return this.#publish('client', clientId, payload)
  }

  async control (action: Control['action'], clientId: unknown, topic?: unknown): Promise<void> {
    await this.#backplane.control({ action, clientId: validClientId(clientId), topic: action === 'close' ? '' : nameOfTopic(topic) })
  }

  get newest (): string {
    return this.#backplane.newest
  }

  get oldestId (): string | null {
    return this.#backplane.oldestId
  }

  read (after: string, reader: Reader, limit: number): Page | Promise<Page> {
    return this.#backplane.read(after, reader, limit)
  }

  rewind (topics: ReadonlySet<string>, count: number): StartPositions | Promise<StartPositions> {
    return this.#backplane.rewind(topics, count)
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

  #publish (to: Audience, target: unknown, payload: unknown, options?: unknown): Promise<string> {
    const message = 'an event was not published'
    try {
      const { names, definitions } = targetsOf(to, target)
      const except = validExcept(options)
      const limits = definitions && this.#definitions.limitsOf(definitions)
      const writeData = definitions === null ? this.#writeData : this.#definitions.writerOf(definitions)
      const published = this.#backplane.publish({ to, names, except, limits, frame: encodePublished(payload, writeData) })
      if (channels.publish.hasSubscribers) onceInLog(published, (id) => tell('publish', { id, to, names, except, payload }))
      return typeof published === 'string' ? Promise.resolve(published) : loggedUnlessAwaited(published, this.#log, message)
    } catch (error) {
      return rejected(error, this.#log, message)
    }
  }

  /** Called by the backplane for each event of the log. Delivers the event to the streams that it is for: of topics, of a client id, or all. Hot path. */
  #dispatch (event: PublishedEvent): void {
    const before = this.#lastDispatchedId
    this.#lastDispatchedId = event.id
    const { to, names } = event
    const [name = ''] = names
    if (to === 'topic') {
      for (const subscription of this.topics.get(name) ?? NONE) subscription.deliver(event, before)
      if (names.length > 1) this.#dispatchToOthers(event, before)
      return
    }
    // A new subscription starts at `before`: if the delivery of its stream has not started, it reads this event from the log later.
    if (to === 'all') for (const stream of this.#registry.streams.values()) stream.subscribed(before).deliver(event, before)
    else for (const stream of this.#registry.ofClient(name)) stream.subscribed(before).deliver(event, before)
  }

  /** Delivers an event for several topics to the streams of the second and later ones. Skips streams that follow an earlier one, because they have the event. */
  #dispatchToOthers (event: PublishedEvent, before: string): void {
    for (const [index, topic] of event.names.entries()) {
      if (index === 0) continue
      for (const subscription of this.topics.get(topic) ?? NONE) {
        if (!event.names.slice(0, index).some((earlier) => subscription.topics.has(earlier))) subscription.deliver(event, before)
      }
    }
  }

  /** Called by the backplane for each control message of the log. */
  #onControl ({ action, clientId, topic }: Control): void {
    this.#lastDispatchedId = this.#backplane.newest
    for (const stream of this.#registry.ofClient(clientId, true)) {
      if (action === 'close') stream.close()
      else stream.unsubscribe(topic)
    }
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

/** @param target topics or a client id. @throws SSE_ERR_TOPIC, SSE_ERR_CLIENT_ID */
function targetsOf (to: Audience, target: unknown): Targets {
  if (to === 'topic') return validTargets(target)
  return { names: to === 'all' ? [] : [validClientId(target)], definitions: null }
}

/** Calls `callback` with the id of an event once the event is in the log. Does nothing if publishing fails, because the caller of `publish` handles the failure. */
function onceInLog (published: string | Promise<string>, callback: (id: string) => void): void {
  if (typeof published === 'string') callback(published)
  else published.then(callback, () => {})
}

const NONE: readonly never[] = []
