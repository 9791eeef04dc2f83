// Tested by test/types/events-of.tst.ts
import type { SSEInput, SSEPayload } from './encode.js'
import type { TypeBoxStatic } from './typebox-types.js'

/** The declared events of a route: by name, the schema of their data, as JSON Schema, TypeBox or Standard Schema. */
export type EventSchemas = Readonly<Record<string, unknown>>

/** A type provider, as Fastify's: `serializer` is the type of data for the schema in `schema`. */
export interface SchemaTypes {
  readonly schema: unknown
  readonly serializer: unknown
}

/** The type of data for a schema: TypeBox 0.x carries it in `static`, for all others the type provider has it. */
export type StaticOf<Provider extends SchemaTypes, Schema> =
  Schema extends { static: infer Static } ? Static : (Provider & { schema: Schema })['serializer']

/** The data of each declared event, by name. */
export type EventDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: StaticOf<Provider, Events[Name]> }

/** A web stream, by the parts that all declarations of it share. */
export interface WebStream<Item> { getReader (): { read (): Promise<{ done: boolean, value?: Item }> } }

/** `EventDataMap` that TypeScript does not infer into from a callback, because inference into the types of a schema library takes seconds. */
export type UninferredDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: NoInfer<StaticOf<Provider, Events[Name]>> }

/**
 * The data of declared events, by name, for clients: `EventsOf<typeof events>`. For schemas other than those of TypeBox and of
 * libraries that follow https://standardschema.dev, pass a type provider.
 */
export type EventsOf<Events extends EventSchemas, Provider extends SchemaTypes = SchemaTypes> =
  { [Name in keyof Events & string]: Events[Name] extends { '~standard': { types?: infer Types } } ? OutputOf<Types>
    : unknown extends StaticOf<Provider, Events[Name]> ? TypeBoxStatic<Events[Name]> : StaticOf<Provider, Events[Name]> }

type OutputOf<Types> = Types extends { output: infer Output } ? Output : never

type Fields = Omit<SSEPayload, 'event' | 'data'>

/** `undefined` once `Events` are known. Before that, `never`: a property of type `undefined` would make TypeScript drop the other alternatives. */
type Absent<Events> = Exclude<undefined, Events>

/** An event with its name. Not a conditional type, because TypeScript would then infer the name as `string`. */
type NamedPayload<Data> = { [Name in keyof Data & string]: Fields & { event: Name, data: Data[Name] } }[keyof Data & string]

/** A `message` without its name. A string is its data. */
type UnnamedPayload<Data> = Data extends { message: infer Message }
  ? Fields & { event?: Absent<Data>, data: Message } | (unknown extends Message ? string : Extract<Message, string>)
  : never

type WithoutData<Events> = Fields & { event?: Absent<Events>, data?: Absent<Events> }

/** The payloads of a route whose events have `Data` (data by name). */
export type PayloadWith<Data, Events> = NamedPayload<Data> | UnnamedPayload<Data> |
  ([keyof Events] extends [never] ? SSEInput : string extends keyof Events ? SSEInput : WithoutData<Events> | null | undefined)

/** Kind of the items of a source and of the results of `payload`: `'payload'`, or `'data'` for the data of an event. */
export type SSEItems = 'payload' | 'data'

/** The values of `items` for a route with `Events`: `'data'` needs a declared `message`, because data alone has no event name. */
export type ItemsOf<Events extends EventSchemas> =
  [keyof Events] extends [never] ? SSEItems : string extends keyof Events ? SSEItems : 'message' extends keyof Events ? SSEItems : 'payload'

/** The data that a route with `Events` sends with `items: 'data'`. */
export type ItemDataOf<Provider extends SchemaTypes, Events extends EventSchemas> =
  [keyof Events] extends [never] ? AnyData : string extends keyof Events ? AnyData
    : EventDataMap<Provider, Events> extends { message: infer Message } ? Message : never

/** `unknown` as a union, so that an editor still completes the fields of a payload beside it. */
export type AnyData = {} | null | undefined

type DataFields<Sent> = { [Name in keyof Sent]-?: Sent[Name] extends (...args: never) => unknown ? never : Name }[keyof Sent] & string
type FieldsBeside<Sent> = Sent extends string | Uint8Array ? never : Sent extends object ? Exclude<DataFields<Sent>, keyof SSEPayload> : never

/** The payloads of a route with `events` of type `Events`. A route without `events` sends any payload. */
export type PayloadOf<Provider extends SchemaTypes, Events extends EventSchemas> =
  PayloadWith<EventDataMap<Provider, Events>, Events>

/** One item of a source, or the result of one call of `payload`: a payload of the route, or with `items: 'data'` the data of one. */
export type ItemOf<Provider extends SchemaTypes, Events extends EventSchemas, Items extends SSEItems = 'payload'> =
  'data' extends Items ? ItemDataOf<Provider, Events> | ('payload' extends Items ? PayloadOf<Provider, Events> : never) : PayloadOf<Provider, Events>

/** As `ItemOf`, for types that TypeScript is not to infer from. */
export type UninferredItemOf<Provider extends SchemaTypes, Events extends EventSchemas, Items> =
  PayloadWith<UninferredDataMap<Provider, Events>, Events> | ('data' extends Items ? ItemDataOf<Provider, Events> : never)

/** Refuses every field that the standard does not have, with a compiler error that names the field. Methods are allowed. */
export type OnlyFields<Sent, Items> = 'data' extends Items ? unknown : [FieldsBeside<Sent>] extends [never] ? unknown
  : string extends FieldsBeside<Sent> ? unknown : { [Name in FieldsBeside<Sent>]?: never }

/** Types that no value has, see `Expected`. */
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
 * Types that a callback may return besides `Sent` while `Sent` is not inferred: an `Item`, and types that no value has.
 * TypeScript checks a callback without parameters before it knows the route's `Events`. The types without a value make it
 * expect literals; without them it would widen `data: { k: 'a' }` to `{ k: string }`. Compiler errors never name them, because
 * `Expected` is `never` once `Sent` and `Events` are known.
 */
export type Expected<Sent, Item, Events, Items> = Fallback<Sent, Item> | Literals<Sent, Events, Items>
