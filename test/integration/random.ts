/** Function that returns a random whole number from 0 to below `limit`. */
export type Random = (limit: number) => number

/** The seed repeats the random choices of a run: SEED=n. It does not repeat the timing. */
export const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

/** Returns the same numbers for the same seed (mulberry32). */
export function randomFrom (seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6D2B79F5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor(((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 * limit)
  }
}
