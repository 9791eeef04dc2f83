/**
 * Measures every contender once per round, so that whatever slows the machine down slows all of them;
 * each round begins with another one.
 *
 * @param contenders what to measure
 * @param {number} rounds how many, fewer where the time is up, but never less than one
 * @param {number} time for all rounds, s
 * @param {boolean} warmUp whether a first round is not counted
 * @param measure resolves to an object of numbers
 * @returns a Map of contender to its numbers, one object per round
 */
export async function interleave (contenders, { rounds, time, warmUp = true }, measure) {
  const end = Date.now() + time * 1000
  const results = new Map(contenders.map((contender) => [contender, []]))
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    if (round > 0 && Date.now() > end) break
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round + 1) % contenders.length]
      const result = await measure(contender)
      if (round >= 0) results.get(contender).push(result)
    }
  }
  return results
}

export function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Returns the median of the ratios of `a` to `b` in each round. */
export function ratio (a, b) {
  return median(a.map((value, round) => value / b[round]))
}
