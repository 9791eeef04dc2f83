// Tested by test/redis/publisher.test.ts
import type { Control, Publication, TopicHistory } from '../backplane.js'
import { list, SSE_ERR_CLOSING, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_EVENT, describeValue } from '../errors.js'
import { type DataWriter, encodePublished, plainData } from '../event/encode.js'
import { validClientId, validExcept } from '../topic.js'
import { nameOfTopic, validTargets } from '../topics/targets.js'
import type { DefinedTopic, PublicationFor, SSEPublication, SSEPublishOptions, Target } from '../topics/types.js'
import { FIRST, RedisLog } from './commands.js'
import { Connection, failure } from './connection.js'
import { readConnection, type RedisTarget } from './options.js'

/** The options of `redisPublisher`. */
export type RedisPublisherOptions = RedisTarget & {
  /** The name of the log, as for `redisBackplane`. Default `sse`. */
  key?: string
  /** Converts the data of an event to text. Default `JSON.stringify`. */
  serializer?: (data: unknown) => string
  /** The longest time that Redis may take for an answer, ms. After this time the methods reject. Default 5000. */
  timeout?: number
}

/**
 * Publishes events to the streams of an application from another program, such as a worker, without Fastify. The methods are as those
 * of `app.sse`: they resolve once the event is stored in Redis, and reject with the same errors, and with SSE_ERR_BACKPLANE if Redis fails.
 */
export interface RedisPublisher {
  /**
   * Publishes as `app.sse.publish` does. The names of events of typed topics are checked. Their data goes through `serializer`, because
   * schemas are compiled by an app.
   */
  publish<const Targets extends Target | readonly Target[]> (topics: Targets, payload: PublicationFor<Targets>, options?: SSEPublishOptions): Promise<string>
  broadcast (payload: SSEPublication): Promise<string>
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /** Closes all streams with a client id. */
  close (clientId: string): Promise<void>
  /** Removes a topic from all streams with a client id. */
  unsubscribe (clientId: string, topic: Target): Promise<void>
  /** Closes the connection to Redis. Pending calls, and later ones, reject with SSE_ERR_CLOSING. */
  end (): Promise<void>
}

/** Creates a publisher. It connects to Redis at the first call. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION */
export function redisPublisher (options: RedisPublisherOptions): RedisPublisher {
  if (typeof options !== 'object' || options === null) throw new SSE_ERR_OPTION('redisPublisher', '{ url } or { client }', describeValue(options))
  const { serializer = JSON.stringify, ...others } = options
  if (typeof serializer !== 'function') throw new SSE_ERR_OPTION('serializer', 'a function', describeValue(serializer))
  return new Publisher(readConnection('redisPublisher', others, 'url, client, key, serializer, timeout'), plainData(serializer))
}

class Publisher implements RedisPublisher {
  readonly #target: ReturnType<typeof readConnection>
  readonly #redis: RedisLog
  readonly #writeData: DataWriter
  #connection: Promise<Connection> | null = null
  #ended = false

  constructor (target: ReturnType<typeof readConnection>, writeData: DataWriter) {
    this.#target = target
    this.#redis = new RedisLog(target.key)
    this.#writeData = writeData
  }

  async publish (topics: unknown, payload: unknown, options?: unknown): Promise<string> {
    const { names, definitions } = validTargets(topics)
    const writeData: DataWriter = (data, event) => {
      for (const definition of definitions ?? []) checkEventName(definition, event)
      return this.#writeData(data, event)
    }
    return this.#publish({ to: 'topic', names, except: validExcept(options), limits: definitions?.map(limitsOf) ?? null }, payload, writeData)
  }

  async broadcast (payload: unknown): Promise<string> {
    return this.#publish({ to: 'all', names: [], except: null, limits: null }, payload)
  }

  async sendTo (clientId: unknown, payload: unknown): Promise<string> {
    return this.#publish({ to: 'client', names: [validClientId(clientId)], except: null, limits: null }, payload)
  }

  async close (clientId: unknown): Promise<void> {
    await this.#control({ action: 'close', clientId: validClientId(clientId), topic: '' })
  }

  async unsubscribe (clientId: unknown, topic: unknown): Promise<void> {
    await this.#control({ action: 'unsubscribe', clientId: validClientId(clientId), topic: nameOfTopic(topic) })
  }

  async end (): Promise<void> {
    this.#ended = true
    const connection = await this.#connection
    connection?.close()
  }

  #publish (audience: Omit<Publication, 'frame'>, payload: unknown, writeData = this.#writeData): Promise<string> {
    const publication = { ...audience, frame: encodePublished(payload, writeData) }
    return this.#ask((connection) => this.#redis.publish(connection, null, publication))
  }

  #control (control: Control): Promise<string> {
    return this.#ask((connection) => this.#redis.control(connection, null, control))
  }

  /** Calls `work` when commands can be sent. @throws SSE_ERR_CLOSING after `end()`; SSE_ERR_BACKPLANE if Redis fails; SSE_ERR_NOT_INSTALLED */
  async #ask (work: (connection: Connection) => Promise<string>): Promise<string> {
    if (this.#ended) throw new SSE_ERR_CLOSING()
    this.#connection ??= this.#target.template().then((template) => new Connection(template, FIRST))
    const connection = await this.#connection
    try {
      return await connection.run({ timeout: this.#target.timeout }, () => work(connection))
    } catch (error) {
      throw this.#ended ? new SSE_ERR_CLOSING() : failure(error)
    }
  }
}

/** Returns the limits in the definition of a topic, with the defaults of the plugin; null if it has none. */
function limitsOf (definition: DefinedTopic | null): TopicHistory | null {
  if (definition === null || Object.values(definition.history).every((limit) => limit === undefined)) return null
  const { size = 1_000, maxAge = 3_600_000 } = definition.history
  return { size, maxAge }
}

/** @throws SSE_ERR_UNKNOWN_EVENT if the definition of a topic declares events, but not this one */
function checkEventName (definition: DefinedTopic | null, event: string): void {
  if (definition?.events === undefined || Object.hasOwn(definition.events, event)) return
  const { events, pattern } = definition
  throw new SSE_ERR_UNKNOWN_EVENT(describeValue(event), `the events of the topic ${describeValue(pattern)}`, list(Object.keys(events)))
}
