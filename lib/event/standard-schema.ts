// Tested by test/issues/schemas-of-libraries.long.test.ts
/** A JSON object that is a JSON Schema or another part of an OpenAPI document. */
export type Schema = Record<string, unknown>

/** One of the two types of a schema that transforms values: `input` before the transformation, `output` after it. */
export type SchemaSide = 'input' | 'output'

/** A schema whose library follows https://standardschema.dev. `jsonSchema` converts it to JSON Schema, and is missing if the library has no conversion. */
export interface StandardSchema {
  readonly '~standard': {
    readonly vendor: string
    readonly jsonSchema?: Readonly<Record<SchemaSide, (options: { target: string, libraryOptions: object }) => Schema>>
  }
}

/** Returns true if a schema follows https://standardschema.dev. The schema may be a function, because the schemas of ArkType are functions. */
export function isStandardSchema (schema: unknown): schema is StandardSchema {
  return ((typeof schema === 'object' && schema !== null) || typeof schema === 'function') &&
    '~standard' in schema && typeof schema['~standard'] === 'object' && schema['~standard'] !== null
}

/**
 * Converts a schema of another library to JSON Schema (https://standardschema.dev/json-schema).
 *
 * @param targets dialects of JSON Schema to try, in this order, because not all libraries support all of them
 * @returns the JSON Schema; undefined if the library has no such conversion
 * @throws the library's error for the last of the `targets`, if the conversion to each of them fails
 */
export function toJSONSchema (schema: StandardSchema, [target, ...others]: readonly [string, ...string[]], side: SchemaSide = 'output'): Schema | undefined {
  try {
    // without `unrepresentable: 'any'`, zod throws for types that JSON Schema lacks, such as Date; with it, such types accept any value
    return schema['~standard'].jsonSchema?.[side]({ target, libraryOptions: { unrepresentable: 'any' } })
  } catch (error) {
    const [next, ...rest] = others
    if (next === undefined) throw error
    return toJSONSchema(schema, [next, ...rest], side)
  }
}
