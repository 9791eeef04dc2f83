// Tested by test/types/events-of.tst.ts
import type { SSEInput, SSEPayload } from './encode.js'
import type { TypeBoxStatic } from './typebox-types.js'

/** The events that a route declares: the schema of the data for each event name, as JSON Schema, TypeBox or Standard Schema. */
export type EventSchemas = Readonly<Record<string, unknown>>

/** A type provider, in the same form as Fastify's type providers. `serializer` is the type of the data that can be sent for the schema in `schema`. */
export interface SchemaTypes {
  readonly schema: unknown
  readonly serializer: unknown
}

/** The type of the data that a schema describes. A schema of TypeBox 0.x has this type in `static`. For other schemas the type provider supplies it. */
export type StaticOf<Provider extends SchemaTypes, Schema> =
  Schema extends { static: infer Static } ? Static : (Provider & { schema: Schema })['serializer']

/** The type of the data of each declared event, by event name. */
export type EventDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: StaticOf<Provider, Events[Name]> }

/** A web stream (ReadableStream), reduced to the members that all its declarations have in common. */
export interface WebStream<Item> { getReader (): { read (): Promise<{ done: boolean, value?: Item }> } }

/**
 * Same as `EventDataMap`, but TypeScript does not infer its type parameters from the result of a callback, because
 * inference into the types of a schema library takes seconds.
 */
export type UninferredDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: NoInfer<StaticOf<Provider, Events[Name]>> }

/** A definition of typed topics (`defineTopic`), reduced to the events that it declares. */
interface Defined { (...values: never): unknown, readonly events: EventSchemas | undefined }

/**
 * The type of the data of each event, by event name. Clients use it as `EventsOf<typeof events>`, where `events` holds
 * the schemas that a route declares, or as `EventsOf<typeof orders>`, where `orders` is a definition of typed topics. Schemas of
 * TypeBox and of libraries that follow https://standardschema.dev need no type provider; for other schemas pass a type provider.
 */
export type EventsOf<Source extends EventSchemas | Defined, Provider extends SchemaTypes = SchemaTypes> =
  Source extends Defined ? DataOf<Exclude<Source['events'], undefined>, Provider> : DataOf<Source, Provider>

type DataOf<Events, Provider extends SchemaTypes> =
  { [Name in keyof Events & string]: Events[Name] extends { '~standard': { types?: infer Types } } ? OutputOf<Types>
    : unknown extends StaticOf<Provider, Events[Name]> ? TypeBoxStatic<Events[Name]> : StaticOf<Provider, Events[Name]> }

type OutputOf<Types> = Types extends { output: infer Output } ? Output : never

type Fields = Omit<SSEPayload, 'event' | 'data'>

/**
 * The type of an optional field that is not set: `undefined`, but `never` while TypeScript still infers `Events`. With
 * `undefined` TypeScript would choose the union member with this field too early.
 */
type Absent<Events> = Exclude<undefined, Events>

/** A declared event with its name in `event`. Not a conditional type, because from a conditional type TypeScript would infer the name as `string`. */
type NamedPayload<Data> = { [Name in keyof Data & string]: Fields & { event: Name, data: Data[Name] } }[keyof Data & string]

/** A declared event `message` without the field `event`. If the event's data can be a string, the route may also send the string without the object. */
type UnnamedPayload<Data> = Data extends { message: infer Message }
  ? Fields & { event?: Absent<Data>, data: Message } | (unknown extends Message ? string : Extract<Message, string>)
  : never

type WithoutData<Events> = Fields & { event?: Absent<Events>, data?: Absent<Events> }

/** The events that a route may send. `Data` has the type of the data by event name; `Events` has the schemas that the route declares. */
export type PayloadWith<Data, Events> = NamedPayload<Data> | UnnamedPayload<Data> |
  ([keyof Events] extends [never] ? SSEInput : string extends keyof Events ? SSEInput : WithoutData<Events> | null | undefined)

/** The form of each item of a source and of each result of `payload`. `'payload'`: an event with its fields. `'data'`: only the data of an event. */
export type SSEItems = 'payload' | 'data'

/** The values of the option `items` on a route with the declared `Events`. `'data'` needs a declared `message`, because data alone has no event name. */
export type ItemsOf<Events extends EventSchemas> =
  [keyof Events] extends [never] ? SSEItems : string extends keyof Events ? SSEItems : 'message' extends keyof Events ? SSEItems : 'payload'

/** The data that a route with the declared `Events` may send with the option `items: 'data'`: the data of `message`, or any data if no events are declared. */
export type ItemDataOf<Provider extends SchemaTypes, Events extends EventSchemas> =
  [keyof Events] extends [never] ? AnyData : string extends keyof Events ? AnyData
    : EventDataMap<Provider, Events> extends { message: infer Message } ? Message : never

/** Any value. Not `unknown`, because an editor does not complete the fields of a payload type in a union with `unknown`. */
export type AnyData = {} | null | undefined

type DataFields<Sent> = { [Name in keyof Sent]-?: Sent[Name] extends (...args: never) => unknown ? never : Name }[keyof Sent] & string
type FieldsBeside<Sent> = Sent extends string | Uint8Array ? never : Sent extends object ? Exclude<DataFields<Sent>, keyof SSEPayload> : never

/** The events that a route may send if it declares `events` of type `Events`. A route without `events` may send any payload. */
export type PayloadOf<Provider extends SchemaTypes, Events extends EventSchemas> =
  PayloadWith<EventDataMap<Provider, Events>, Events>

/** One item of a source, or the result of one call of `payload`: an event that the route may send, or only its data with `items: 'data'`. */
export type ItemOf<Provider extends SchemaTypes, Events extends EventSchemas, Items extends SSEItems = 'payload'> =
  'data' extends Items ? ItemDataOf<Provider, Events> | ('payload' extends Items ? PayloadOf<Provider, Events> : never) : PayloadOf<Provider, Events>

/** Same as `ItemOf`, but TypeScript does not infer type parameters from it, because such inference takes seconds. */
export type UninferredItemOf<Provider extends SchemaTypes, Events extends EventSchemas, Items> =
  PayloadWith<UninferredDataMap<Provider, Events>, Events> | ('data' extends Items ? ItemDataOf<Provider, Events> : never)

/** A type to intersect with `Sent`. If `Sent` has a field that no event has, the compiler then reports an error that names the field. Methods are allowed. */
export type OnlyFields<Sent, Items> = 'data' extends Items ? unknown : [FieldsBeside<Sent>] extends [never] ? unknown
  : string extends FieldsBeside<Sent> ? unknown : { [Name in FieldsBeside<Sent>]?: never }

/** The key of `Impossible`, a type that no value has, because this symbol does not exist when the code runs. See `Expected`. */
declare const impossible: unique symbol
interface Impossible { readonly [impossible]: never }
type AnyLiteral = '' | 0 | 0n | boolean | [] | AnyLiteral[] | { [key: string]: AnyLiteral }
declare enum NoText { None = '' }
interface NoEvent { event: '' & Impossible, data?: AnyLiteral | {} }
type NoData = Impossible & (AnyLiteral[] | { [key: string]: AnyLiteral })

type Fallback<Sent, Item> = [Sent] extends [never] ? Item : never
type Literals<Sent, Events, Items> =
  [keyof Events] extends [never] ? [Sent] extends [never] ? NoText | ('data' extends Items ? NoData : NoEvent) : never : never

/**
 * Types that a callback may return besides `Sent`, the callback's inferred result. Until TypeScript has inferred `Sent`, they
 * are `Item` and types that no value has. TypeScript checks a callback without parameters before it knows the route's
 * `Events`. The types without a value then make TypeScript keep literals: `data: { k: 'a' }` is not widened to `{ k: string }`.
 * Compiler errors never name these types, because `Expected` is `never` once `Sent` and `Events` are known.
 */
export type Expected<Sent, Item, Events, Items> = Fallback<Sent, Item> | Literals<Sent, Events, Items>
