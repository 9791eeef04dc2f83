// Tested by test/types/typebox-1.tst.ts
/** The TypeScript types of TypeBox 1 schemas whose kind alone determines the type. Each key is a kind, the value of a schema's field `~kind`. */
interface Plain {
  String: string
  Number: number
  Integer: number
  Boolean: boolean
  Null: null
  Undefined: undefined
  Void: void
  BigInt: bigint
  Never: never
}

/** A tuple with the TypeScript type of each schema in `Schemas`, a tuple of TypeBox 1 schemas. */
type Each<Schemas> = { [Index in keyof Schemas]: TypeBoxStatic<Schemas[Index]> }

/** The intersection of the TypeScript types of all schemas in `Schemas`, a tuple of TypeBox 1 schemas. */
type All<Schemas> = Schemas extends [infer First, ...infer Others] ? TypeBoxStatic<First> & All<Others> : unknown

interface Optional { '~optional': true }

/** The TypeScript types of an object's properties, from the TypeBox 1 schema of each property. Optional properties are mapped separately to add a `?`. */
type Properties<Schemas> = { [Name in keyof Schemas as Schemas[Name] extends Optional ? never : Name]: TypeBoxStatic<Schemas[Name]> } &
  { [Name in keyof Schemas as Schemas[Name] extends Optional ? Name : never]?: TypeBoxStatic<Schemas[Name]> }

/** Converts an intersection of object types to one object type with the same properties, so that compiler errors are readable. */
type Flat<Type> = { [Name in keyof Type]: Type[Name] }

/**
 * The TypeScript type of the data that a TypeBox 1 schema describes; `unknown` for any other schema, and for
 * `Type.Cyclic`, references and templates. Computed here, because a TypeBox 1 schema does not carry its type, and TypeBox
 * is not a dependency.
 */
export type TypeBoxStatic<Schema> =
  Schema extends { '~unsafe': infer Type } ? Type
    : Schema extends { '~kind': infer Kind extends keyof Plain } ? Plain[Kind]
      : Schema extends { '~kind': string } ? Composed<Schema> : unknown

/** The TypeScript type for a TypeBox 1 schema that contains other schemas or values, such as an object, an array, a union or an enum. */
type Composed<Schema> =
  Schema extends { const: infer Value } ? Value
    : Schema extends { enum: infer Values extends readonly unknown[] } ? Values[number]
      : Schema extends { anyOf: infer Schemas extends readonly unknown[] } ? Each<Schemas>[number]
        : Schema extends { allOf: infer Schemas } ? All<Schemas>
          : Schema extends { items: infer Items } ? Items extends readonly unknown[] ? Each<Items> : Array<TypeBoxStatic<Items>>
            : Schema extends { patternProperties: infer Patterns } ? Record<string, TypeBoxStatic<Patterns[keyof Patterns]>>
              : Schema extends { properties: infer Schemas } ? Flat<Properties<Schemas>> : unknown
