// Tested by test/types/topics.tst.ts
import type {
  FastifyBaseLogger, FastifyRequest, FastifySchema, FastifyTypeProvider, RawRequestDefaultExpression, RawServerBase, RouteGenericInterface
} from 'fastify'
import type { SSEPayload } from '../event/encode.js'
import type { EventSchemas, EventsOf, PayloadWith } from '../event/types.js'

type MaybePromise<T> = T | Promise<T>

/** The names of the placeholders in the pattern of a topic: `'id'` for `'order:{id}'`. */
export type PlaceholdersOf<Pattern extends string> =
  string extends Pattern ? string : Pattern extends `${string}{${infer Name}}${infer Rest}` ? Name | PlaceholdersOf<Rest> : never

/** The values of the placeholders in a pattern, by name. */
export type TopicValues<Pattern extends string> = { readonly [Name in PlaceholdersOf<Pattern>]: string | number }

/** The arguments with which a definition is called: the values of the placeholders, or none if the pattern has no placeholder. */
export type TopicArguments<Pattern extends string> = [PlaceholdersOf<Pattern>] extends [never] ? [] : [values: TopicValues<Pattern>]

/** A topic with a name and a definition, such as `orders({ id: 42 })`. `String(topic)` is its name. */
export interface Topic<Events extends EventSchemas = EventSchemas> {
  /** The name of the topic, such as `order:42`. */
  readonly name: string
  readonly definition: DefinedTopic<Events>
}

/** The topic of a definition for each request of a route: the result of `from`. */
export interface RequestTopic<Events extends EventSchemas = EventSchemas, Request = never> {
  readonly definition: DefinedTopic<Events>
  /** Returns the values of the placeholders for a request. */
  values (request: Request): MaybePromise<Readonly<Record<string, string | number>>>
}

/** Limits of the events that are kept of each topic of a definition. The plugin's option `history` has the values that are not given. */
export interface TopicLimits {
  /** Number of newest events that are kept; 0: none. */
  readonly size?: number
  /** Age from which an event is no longer kept, ms; 0: no limit. */
  readonly maxAge?: number
}

/** The options of `defineTopic`. */
export interface TopicOptions<Events extends EventSchemas = EventSchemas> {
  /** Schemas of the events' data, by event name, used to type, serialize and document the data. Events of other names are refused. Default: any event. */
  readonly events?: Events
  /** Limits of the events that are kept of each topic for clients that reconnect. Default: those of the plugin. */
  readonly history?: TopicLimits
}

/** The definition of a typed topic, whatever its placeholders: the members that publishers and routes read. */
export interface DefinedTopic<Events extends EventSchemas = EventSchemas> {
  (...values: never): Topic<Events>
  /** The text from which the names of the topics are made, such as `order:{id}`. */
  readonly pattern: string
  /** The names of the placeholders in the pattern, each once, in the order of the pattern. */
  readonly placeholders: readonly string[]
  /** The schemas of the events' data, by event name. Undefined: any event. */
  readonly events: Events | undefined
  readonly history: TopicLimits
}

/** The definition of a typed topic: the result of `defineTopic`. Call it with the values of the placeholders to get a topic. */
export interface TopicDefinition<Pattern extends string = string, Events extends EventSchemas = EventSchemas> {
  /** Returns the topic with these values. Values are encoded, so that a value cannot name another topic. @throws SSE_ERR_TOPIC */
  (...values: TopicArguments<Pattern>): Topic<Events>
  readonly pattern: Pattern
  readonly placeholders: readonly string[]
  readonly events: Events | undefined
  readonly history: TopicLimits
  /** For the option `topics` of a route: the topic whose values `values` returns or resolves to for the request of a stream. */
  from<Request = FastifyRequest> (values: (request: Request) => MaybePromise<TopicValues<Pattern>>): RequestTopic<Events, Request>
}

/** An event to publish, or its data as a string. It has no `id`, because the log of published events sets it. */
export type SSEPublication = Omit<SSEPayload, 'id'> & { id?: never } | string

/** A topic to publish to: its name, or a topic of a definition. */
export type Target = string | Topic

/** The schemas of a definition, as a type parameter may infer them; `{}` if the definition declares no events, or its type does not say which. */
type Known<Events> = string extends keyof Events ? {} : Events

/** The intersection of all members of a union. */
type Intersection<Union> = (Union extends unknown ? (member: Union) => void : never) extends (all: infer All) => void ? All : never

/** The schemas of a topic to publish to; never for a name, and for a topic whose definition declares no events. */
type SchemasOfTarget<One> = One extends { readonly definition: { readonly events: infer Events } }
  ? [keyof Known<Exclude<Events, undefined>>] extends [never] ? never : Exclude<Events, undefined> : never

/** The data of each event that all members of a union of schemas declare, by event name. It fits the schemas of all of them. */
type SharedData<Schemas> = { [Name in keyof Schemas & string]: Intersection<DataIn<Schemas, Name>> extends { data: infer Data } ? Data : never }
type DataIn<Schemas, Name extends string> = Schemas extends EventSchemas ? { data: EventsOf<Schemas>[Name] } : never

/** An event without `id`, because the log of published events sets it. */
type WithoutId<Payload> = Payload extends string ? Payload : Payload extends null | undefined ? never : Payload & { id?: never }

/** An event to publish to a target or a list of targets: any event if they are names, else one that all their definitions declare. */
export type PublicationFor<Targets> = SchemasOfTarget<Targets extends readonly unknown[] ? Targets[number] : Targets> extends infer Schemas
  ? [Schemas] extends [never] ? SSEPublication : WithoutId<PayloadWith<SharedData<Schemas>, Schemas>> : never

/** The event schemas of one entry of the option `topics` of a route; never for a name. */
type SchemasOf<Entry> = Entry extends string ? never : Entry extends { readonly definition: { readonly events: infer Events } }
  ? Known<Exclude<Events, undefined>> : Entry extends { readonly events: infer Events } ? Known<Exclude<Events, undefined>> : never

/** An entry of the option `topics` of a route: a name, a definition, a topic of a definition, or the result of `from`. */
export type RouteTopic = string | DefinedTopic | { readonly definition: DefinedTopic }

/** The option `topics` of a route as an array, whose functions of `from` get the type of their parameter. The type parameters are those of the route's requests. */
export type TopicsOf<
  RouteGeneric extends RouteGenericInterface, RawServer extends RawServerBase, RawRequest extends RawRequestDefaultExpression<RawServer>,
  SchemaCompiler extends FastifySchema, TypeProvider extends FastifyTypeProvider, ContextConfig, Logger extends FastifyBaseLogger
> = ReadonlyArray<RouteTopic | RequestTopic<EventSchemas, FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>>>

/** The schemas of all events that a route declares: those in its option `events`, and those of the typed topics in its option `topics`. */
export type WithTopics<Events extends EventSchemas, Topics extends readonly unknown[]> = [SchemasOf<Topics[number]>] extends [never] ? Events
  : Intersection<SchemasOf<Topics[number]>> extends infer All extends EventSchemas ? Events & All : Events

/** The options of `app.sse.publish`. */
export interface SSEPublishOptions {
  /** Client id whose streams do not get the event. */
  except?: string
}
