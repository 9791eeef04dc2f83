const GREATEST = 2n ** 64n - 1n

/** The greatest position before an entry's id: from there on, that entry comes next. */
export function lastBefore (id: string): string {
  const dash = id.indexOf('-')
  const [ms, n] = [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))]
  return n > 0n ? `${ms}-${n - 1n}` : `${ms - 1n}-${GREATEST}`
}
