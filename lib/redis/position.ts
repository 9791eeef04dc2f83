const GREATEST = 2n ** 64n - 1n

/** The greatest position before an entry's id: from there on, that entry comes next. */
export function previousId (id: string): string {
  const [ms, n] = numbers(id)
  return n > 0n ? `${ms}-${n - 1n}` : `${ms - 1n}-${GREATEST}`
}

/** The least id after a position. */
export function nextId (position: string): string {
  const [ms, n] = numbers(position)
  return n < GREATEST ? `${ms}-${n + 1n}` : `${ms + 1n}-0`
}

function numbers (id: string): [ms: bigint, n: bigint] {
  const dash = id.indexOf('-')
  return [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))]
}
