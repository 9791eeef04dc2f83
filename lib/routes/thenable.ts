// Tested by test/issues/topics-never-settle.test.ts
/** Returns whether a value is a promise, or another object with a method `then`. */
export function isThenable<T> (value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
