// Tested by test/types/typebox-1.tst.ts
/** Kinds of TypeBox 1 that stand for one type each. */
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

type Each<Schemas> = { [Index in keyof Schemas]: TypeBoxStatic<Schemas[Index]> }

type All<Schemas> = Schemas extends [infer First, ...infer Others] ? TypeBoxStatic<First> & All<Others> : unknown

interface Optional { '~optional': true }

type Properties<Schemas> = { [Name in keyof Schemas as Schemas[Name] extends Optional ? never : Name]: TypeBoxStatic<Schemas[Name]> } &
  { [Name in keyof Schemas as Schemas[Name] extends Optional ? Name : never]?: TypeBoxStatic<Schemas[Name]> }

type Flat<Type> = { [Name in keyof Type]: Type[Name] }

/**
 * The type of JSON that a schema of TypeBox 1 stands for; unknown for all else. Such a schema does not carry its type,
 * and TypeBox is no dependency that could compute it. `Type.Cyclic`, references and templates are unknown as well.
 */
export type TypeBoxStatic<Schema> =
  Schema extends { '~unsafe': infer Type } ? Type
    : Schema extends { '~kind': infer Kind extends keyof Plain } ? Plain[Kind]
      : Schema extends { '~kind': string } ? Composed<Schema> : unknown

type Composed<Schema> =
  Schema extends { const: infer Value } ? Value
    : Schema extends { enum: infer Values extends readonly unknown[] } ? Values[number]
      : Schema extends { anyOf: infer Schemas extends readonly unknown[] } ? Each<Schemas>[number]
        : Schema extends { allOf: infer Schemas } ? All<Schemas>
          : Schema extends { items: infer Items } ? Items extends readonly unknown[] ? Each<Items> : Array<TypeBoxStatic<Items>>
            : Schema extends { patternProperties: infer Patterns } ? Record<string, TypeBoxStatic<Patterns[keyof Patterns]>>
              : Schema extends { properties: infer Schemas } ? Flat<Properties<Schemas>> : unknown
