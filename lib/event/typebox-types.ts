// Tested by test/types/typebox-1.tst.ts
/** The type of each TypeBox 1 kind that has a single type. */
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

/** The types of several schemas. */
type Each<Schemas> = { [Index in keyof Schemas]: TypeBoxStatic<Schemas[Index]> }

/** The intersection of the types of several schemas. */
type All<Schemas> = Schemas extends [infer First, ...infer Others] ? TypeBoxStatic<First> & All<Others> : unknown

interface Optional { '~optional': true }

/** The properties of an object, optional ones apart. */
type Properties<Schemas> = { [Name in keyof Schemas as Schemas[Name] extends Optional ? never : Name]: TypeBoxStatic<Schemas[Name]> } &
  { [Name in keyof Schemas as Schemas[Name] extends Optional ? Name : never]?: TypeBoxStatic<Schemas[Name]> }

/** One object type in place of an intersection, for readable errors. */
type Flat<Type> = { [Name in keyof Type]: Type[Name] }

/**
 * The JSON type of a TypeBox 1 schema; `unknown` for any other schema, and for `Type.Cyclic`, references and templates. Computed
 * here, because a TypeBox 1 schema does not carry its type, and TypeBox is not a dependency.
 */
export type TypeBoxStatic<Schema> =
  Schema extends { '~unsafe': infer Type } ? Type
    : Schema extends { '~kind': infer Kind extends keyof Plain } ? Plain[Kind]
      : Schema extends { '~kind': string } ? Composed<Schema> : unknown

/** The type of a schema that has others in it. */
type Composed<Schema> =
  Schema extends { const: infer Value } ? Value
    : Schema extends { enum: infer Values extends readonly unknown[] } ? Values[number]
      : Schema extends { anyOf: infer Schemas extends readonly unknown[] } ? Each<Schemas>[number]
        : Schema extends { allOf: infer Schemas } ? All<Schemas>
          : Schema extends { items: infer Items } ? Items extends readonly unknown[] ? Each<Items> : Array<TypeBoxStatic<Items>>
            : Schema extends { patternProperties: infer Patterns } ? Record<string, TypeBoxStatic<Patterns[keyof Patterns]>>
              : Schema extends { properties: infer Schemas } ? Flat<Properties<Schemas>> : unknown
