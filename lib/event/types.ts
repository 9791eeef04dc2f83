// Tested by test/types/events-of.tst.ts
import type { SSEInput, SSEPayload } from './encode.js'
import type { TypeBoxStatic } from './typebox-types.js'

/** The events a route declares: by name, the JSON Schema (or TypeBox schema) of their data. */
export type EventSchemas = Readonly<Record<string, unknown>>

/** What knows the type that a schema stands for, as each of Fastify's type providers does. */
export interface SchemaTypes {
  readonly schema: unknown
  readonly serializer: unknown
}

/** The type a schema stands for: TypeBox 0.x carries it, for all others a type provider knows. */
export type StaticOf<Provider extends SchemaTypes, Schema> =
  Schema extends { static: infer Static } ? Static : (Provider & { schema: Schema })['serializer']

/** The data of each declared event, by name. */
export type EventDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: StaticOf<Provider, Events[Name]> }

/** A web stream, whichever library's types declare it. */
export interface WebStream<Item> { getReader (): { read (): Promise<{ done: boolean, value?: Item }> } }

/** `EventDataMap` that TypeScript leaves alone when it infers from a callback. To infer into the types of a schema library takes seconds. */
export type UninferredDataMap<Provider extends SchemaTypes, Events extends EventSchemas> =
  { [Name in keyof Events & string]: NoInfer<StaticOf<Provider, Events[Name]>> }

/**
 * The data of declared events, by name, for those who receive them: `EventsOf<typeof events>`. Schemas of TypeBox and of
 * the libraries of https://standardschema.dev need nothing else; for others give a type provider.
 */
export type EventsOf<Events extends EventSchemas, Provider extends SchemaTypes = SchemaTypes> =
  { [Name in keyof Events & string]: Events[Name] extends { '~standard': { types?: infer Types } } ? OutputOf<Types>
    : unknown extends StaticOf<Provider, Events[Name]> ? TypeBoxStatic<Events[Name]> : StaticOf<Provider, Events[Name]> }

type OutputOf<Types> = Types extends { output: infer Output } ? Output : never

type Fields = Omit<SSEPayload, 'event' | 'data'>

/** `undefined` once `Events` are known. Before, a property of type `undefined` makes TypeScript drop the other alternatives. */
type Absent<Events> = Exclude<undefined, Events>

/** An event by its name. Under a condition TypeScript would infer the name as `string`. */
type NamedPayload<Data> = { [Name in keyof Data & string]: Fields & { event: Name, data: Data[Name] } }[keyof Data & string]

/** A `message` without its name; a string stands for its data. */
type UnnamedPayload<Data> = Data extends { message: infer Message }
  ? Fields & { event?: Absent<Data>, data: Message } | (unknown extends Message ? string : Extract<Message, string>)
  : never

type WithoutData<Events> = Fields & { event?: Absent<Events>, data?: Absent<Events> }

/** The payloads of a route whose events have `Data`, by name. */
export type PayloadWith<Data, Events> = NamedPayload<Data> | UnnamedPayload<Data> |
  ([keyof Events] extends [never] ? SSEInput : string extends keyof Events ? SSEInput : WithoutData<Events> | null | undefined)

/** Kind of the items of a source and of the results of `payload`: payloads, or each the data of an event. */
export type SSEItems = 'payload' | 'data'

/** The `items` that a route with `Events` can have: data without a name is the data of `message`. */
export type ItemsOf<Events extends EventSchemas> =
  [keyof Events] extends [never] ? SSEItems : string extends keyof Events ? SSEItems : 'message' extends keyof Events ? SSEItems : 'payload'

/** The data that a route with `Events` sends with `items: 'data'`. */
export type ItemDataOf<Provider extends SchemaTypes, Events extends EventSchemas> =
  [keyof Events] extends [never] ? AnyData : string extends keyof Events ? AnyData
    : EventDataMap<Provider, Events> extends { message: infer Message } ? Message : never

/** `unknown`, as a union: an editor still completes the fields of a payload beside it. */
export type AnyData = {} | null | undefined

type DataFields<Sent> = { [Name in keyof Sent]-?: Sent[Name] extends (...args: never) => unknown ? never : Name }[keyof Sent] & string
type FieldsBeside<Sent> = Sent extends string | Uint8Array ? never : Sent extends object ? Exclude<DataFields<Sent>, keyof SSEPayload> : never

/** Refuses every field that the standard does not have; the compiler's error names the field. Methods are no fields. */
export type OnlyFields<Sent, Items> = 'data' extends Items ? unknown : [FieldsBeside<Sent>] extends [never] ? unknown
  : string extends FieldsBeside<Sent> ? unknown : { [Name in FieldsBeside<Sent>]?: never }

/** Types of no value, see `Expected`. */
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
 * What a callback may return besides `Sent`, while that is not inferred: an `Item`, and types that no value has.
 * TypeScript checks a callback without parameters before it knows the route's `Events`. From those types it learns
 * that literals may be expected; else it would widen `data: { k: 'a' }` to `{ k: string }`. Errors never name them,
 * because all of this is `never` once `Sent` and `Events` are known.
 */
export type Expected<Sent, Item, Events, Items> = Fallback<Sent, Item> | Literals<Sent, Events, Items>
