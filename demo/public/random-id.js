/** Returns a random id of 32 characters. Does not use `randomUUID`, which browsers have only on secure pages. */
export function randomId () {
  return Array.from(window.crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(16).padStart(8, '0')).join('')
}
