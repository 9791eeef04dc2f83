/** What was chosen at random is chosen again with FUZZ_SEED=n. */
export const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

/** How often a property is tried: so many times, or as often as `npm run fuzz` says, in the same ratio to 300. */
export function numRuns (usual: number): number {
  return Math.ceil(usual * Number(process.env.FUZZ_RUNS ?? 300) / 300)
}
