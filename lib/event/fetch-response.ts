// Tested by test/issues/upstream-events-framed-twice.test.ts
/** The `Response` of `fetch`, reduced to the properties that its declarations in DOM, Node and undici have in common. */
export interface FetchResponse {
  readonly status: number
  readonly headers: { get (name: string): string | null }
  readonly body: object | null
  readonly bodyUsed: boolean
}

/** Returns true if a value has the properties of a `Response`, of any implementation of `fetch`. */
export function isResponse (value: object): value is FetchResponse {
  return 'status' in value && typeof value.status === 'number' && 'body' in value && 'bodyUsed' in value &&
    'headers' in value && typeof value.headers === 'object' && value.headers !== null && 'get' in value.headers
}
