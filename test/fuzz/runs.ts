/** The seed of all random choices. FUZZ_SEED=n repeats a run. */
export const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

/** The number of runs of a property: `usual`, or in the same ratio to 300 as `npm run fuzz` says. */
export function numRuns (usual: number): number {
  return Math.ceil(usual * Number(process.env.FUZZ_RUNS ?? 300) / 300)
}
