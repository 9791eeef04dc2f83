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

/**
 * The data of declared events, by name, for those who receive them: `EventsOf<typeof events>`. Schemas of TypeBox 0.x
 * and of the libraries of https://standardschema.dev carry their types; for others give a type provider.
 */
export type EventsOf<Events extends EventSchemas, Provider extends SchemaTypes = SchemaTypes> =
  { [Name in keyof Events & string]: Events[Name] extends { '~standard': { types?: infer Types } } ? OutputOf<Types> : StaticOf<Provider, Events[Name]> }

type OutputOf<Types> = Types extends { output: infer Output } ? Output : never
