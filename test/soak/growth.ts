import type { Amounts } from './measure.js'

/** Allowed growth: a share of the value at the start, and a number. */
interface Allowance {
  part: number
  more: number
}

/** Bytes. V8 compiles for minutes, and the system decides when memory is given back. */
export const MEMORY: Record<string, Allowance> = {
  heap: { part: 0.1, more: 2e6 },
  external: { part: 0.1, more: 2e6 },
  rss: { part: 0.15, more: 32e6 }
}

/** The number of clients varies at random. A leak of one in ten clients soon exceeds this. */
const COUNT: Allowance = { part: 0.25, more: 24 }
/** Values that do not depend on the number of clients. */
const FIXED: Allowance = { part: 0, more: 2 }

function allowanceOf (name: string): Allowance {
  return MEMORY[name] ?? (name.startsWith('listeners') ? FIXED : COUNT)
}

/** A value and its time, ms. */
export interface Measured {
  time: number
  amounts: Amounts
}

/**
 * What has grown: the median of the last quarter is above that of the first by more than is allowed, or the line that fits
 * all best (least squares) rises by more from the middle of the first quarter to that of the last.
 */
export function growthOf (series: readonly Measured[]): string[] {
  const names = new Set(series.flatMap(({ amounts }) => Object.keys(amounts)))
  return [...names].flatMap((name) => {
    const points = series.map(({ time, amounts }) => ({ x: time, y: amounts[name] ?? 0 }))
    const { first, last, rise } = trendOf(points)
    const { part, more } = allowanceOf(name)
    const allowed = first * part + more
    const said = `${name}: ${shown(name, first)} in the first quarter, ${shown(name, last)} in the last, a rise of ${shown(name, rise)}; allowed ${shown(name, allowed)}`
    return last - first > allowed || rise > allowed ? [said] : []
  })
}

/** The medians of the first and last quarter, and the rise between them of the line that fits best. */
export function trendOf (points: ReadonlyArray<{ x: number, y: number }>): { first: number, last: number, rise: number } {
  const quarter = Math.max(1, Math.floor(points.length / 4))
  const median = (some: typeof points) => some.map(({ y }) => y).sort((a, b) => a - b)[Math.floor(some.length / 2)] ?? 0
  const mean = (some: number[]) => some.reduce((sum, value) => sum + value, 0) / some.length
  const [x, y] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))]
  const spread = mean(points.map((point) => (point.x - x) ** 2))
  const slope = spread === 0 ? 0 : mean(points.map((point) => (point.x - x) * (point.y - y))) / spread
  const time = (points.at(-1)?.x ?? 0) - (points[0]?.x ?? 0)
  return { first: median(points.slice(0, quarter)), last: median(points.slice(-quarter)), rise: slope * time * 0.75 }
}

/** Returns the values that differ from the start. */
export function differences (before: Amounts, after: Amounts): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => (before[name] ?? 0) !== (after[name] ?? 0))
    .map((name) => `${name}: ${before[name] ?? 0} before the first client, ${after[name] ?? 0} after the last`)
}

function shown (name: string, amount: number): string {
  return name in MEMORY ? `${(amount / 1e6).toFixed(1)} MB` : amount.toFixed(1)
}
