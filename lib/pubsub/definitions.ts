// Tested by test/pubsub/typed-topics.test.ts
import type { FastifyInstance } from 'fastify'
import type { TopicHistory } from '../backplane.js'
import { describeValue, SSE_ERR_SERIALIZATION } from '../errors.js'
import type { DataWriter } from '../event/encode.js'
import { compileEvents } from '../event/serializers.js'
import { setUpSerializerCompiler } from '../stream/fastify-internals.js'
import type { DefinedTopic } from '../topics/types.js'

/** The definition of a topic, prepared for one app. */
interface Compiled {
  /** Encodes the data of events by the schemas of the definition. Null if the definition declares no events. */
  writeData: DataWriter | null
  /** The limits of each topic of the definition; null if the definition has none. */
  limits: TopicHistory | null
}

/** The definitions of the typed topics that an app publishes to. Prepares each at the first event, because a definition does not belong to an app. */
export class Definitions {
  readonly #app: FastifyInstance
  readonly #history: TopicHistory
  readonly #writeData: DataWriter
  readonly #compiled = new WeakMap<DefinedTopic, Compiled>()

  /**
   * @param app the instance whose serializer compiler compiles the schemas
   * @param history the limits that definitions do not set
   * @param writeData encodes the data of events for topics without declared events
   */
  constructor (app: FastifyInstance, history: TopicHistory, writeData: DataWriter) {
    this.#app = app
    this.#history = history
    this.#writeData = writeData
  }

  /** Returns the limits of each of these topics, as `Publication.limits` has them. */
  limitsOf (definitions: ReadonlyArray<DefinedTopic | null>): ReadonlyArray<TopicHistory | null> | null {
    const limits = definitions.map((definition) => definition && this.#get(definition).limits)
    return limits.every((limit) => limit === null) ? null : limits
  }

  /** Returns the function that encodes the data of an event for topics with these definitions. The event has to be declared in all of them. @throws SSE_ERR_SCHEMA */
  writerOf (definitions: ReadonlyArray<DefinedTopic | null>): DataWriter {
    const [first = this.#writeData, ...others] = [...new Set(definitions)].flatMap((definition) => (definition && this.#get(definition).writeData) ?? [])
    if (others.length === 0) return first
    return (data, event) => {
      const text = first(data, event)
      if (others.some((writeData) => writeData(data, event) !== text)) {
        throw new SSE_ERR_SERIALIZATION(describeValue(event), 'the schemas of its topics give different texts, so that it has to be published to each of them')
      }
      return text
    }
  }

  #get (definition: DefinedTopic): Compiled {
    let compiled = this.#compiled.get(definition)
    if (compiled === undefined) {
      compiled = this.#compile(definition)
      this.#compiled.set(definition, compiled)
    }
    return compiled
  }

  #compile ({ events, pattern, history: { size, maxAge } }: DefinedTopic): Compiled {
    const limits = size === undefined && maxAge === undefined ? null : { size: size ?? this.#history.size, maxAge: maxAge ?? this.#history.maxAge }
    if (events === undefined) return { writeData: null, limits }
    setUpSerializerCompiler(this.#app)
    return { writeData: compileEvents(this.#app, { method: 'topic', url: pattern }, events, `the events of the topic ${describeValue(pattern)}`), limits }
  }
}
