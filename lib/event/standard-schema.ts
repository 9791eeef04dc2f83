// Tested by test/issues/schemas-of-libraries.long.test.ts
/** A JSON Schema, or another object of an OpenAPI document. */
export type Schema = Record<string, unknown>

/** The type of a schema before (`input`) or after (`output`) it transforms a value. */
export type SchemaSide = 'input' | 'output'

/** A schema whose library follows https://standardschema.dev. Libraries with a conversion to JSON Schema have `jsonSchema`. */
export interface StandardSchema {
  readonly '~standard': {
    readonly vendor: string
    readonly jsonSchema?: Readonly<Record<SchemaSide, (options: { target: string, libraryOptions: object }) => Schema>>
  }
}

/** Whether a schema follows https://standardschema.dev. ArkType's schemas are functions. */
export function isStandardSchema (schema: unknown): schema is StandardSchema {
  return ((typeof schema === 'object' && schema !== null) || typeof schema === 'function') &&
    '~standard' in schema && typeof schema['~standard'] === 'object' && schema['~standard'] !== null
}

/**
 * Converts a schema of another library to JSON Schema (https://standardschema.dev/json-schema).
 *
 * @param targets dialects of JSON Schema in order of preference, because not all libraries have them all
 * @returns undefined for a library without a conversion
 * @throws the library's error about the last of the `targets`
 */
export function toJSONSchema (schema: StandardSchema, [target, ...others]: readonly [string, ...string[]], side: SchemaSide = 'output'): Schema | undefined {
  try {
    // without `unrepresentable`, zod throws for types that JSON Schema lacks, such as Date; with it, they are any value
    return schema['~standard'].jsonSchema?.[side]({ target, libraryOptions: { unrepresentable: 'any' } })
  } catch (error) {
    const [next, ...rest] = others
    if (next === undefined) throw error
    return toJSONSchema(schema, [next, ...rest], side)
  }
}
