const GREATEST = 2n ** 64n - 1n

/** The greatest position before an id: from there on, what the id is of comes next. */
export function lastBefore (id: string): string {
  const [ms = 0n, n = 0n] = id.split('-').map(BigInt)
  if (n > 0n) return `${ms}-${n - 1n}`
  return ms > 0n ? `${ms - 1n}-${GREATEST}` : '0-0'
}
