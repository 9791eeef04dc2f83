/** A JSON Schema, or another object of an OpenAPI document. */
export type Schema = Record<string, unknown>

/** What is read of a schema whose library follows https://standardschema.dev/json-schema. */
interface StandardSchema {
  readonly '~standard': {
    readonly vendor: string
    readonly jsonSchema?: { output (options: { target: string, libraryOptions: object }): Schema }
  }
}

/** Whether a schema follows https://standardschema.dev; those of ArkType are functions. */
export function isStandardSchema (schema: unknown): schema is StandardSchema {
  return ((typeof schema === 'object' && schema !== null) || typeof schema === 'function') &&
    '~standard' in schema && typeof schema['~standard'] === 'object' && schema['~standard'] !== null
}

/**
 * The JSON Schema of what a schema of another library stands for; undefined where the library gives none.
 * @param targets in order of preference, because not all libraries have them all
 */
export function toJSONSchema (schema: StandardSchema, [target, ...others]: readonly [string, ...string[]]): Schema | undefined {
  try {
    // zod throws at what JSON Schema cannot say, such as a Date, unless it may be anything
    return schema['~standard'].jsonSchema?.output({ target, libraryOptions: { unrepresentable: 'any' } })
  } catch (error) {
    const [next, ...rest] = others
    if (next === undefined) throw error
    return toJSONSchema(schema, [next, ...rest])
  }
}
