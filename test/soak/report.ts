import type { SSEStats } from '../../lib/index.js'
import type { Done } from './clients.js'
import type { Sample } from './measure.js'

/** Columns of the report, for both servers. */
const COLUMNS: ReadonlyArray<[name: string, width: number]> = [
  ['s', 5], ['open', 5], ['opened', 8], ['published', 10], ['rejected', 9], ['delivered', 10], ['gaps', 6], ['restarts', 9],
  ['heap MB', 13], ['rss MB', 9], ['files', 9], ['handles', 9], ['listeners', 10], ['timers', 9], ['CPU %', 7]
]

export function heading (): string {
  return row(COLUMNS.map(([name]) => name))
}

/** Formats one line of the report. */
export function line (seconds: number, done: Done, restarts: number, samples: readonly Sample[], cpu: readonly number[]): string {
  const each = (of: (sample: Sample) => number, digits = 0) => samples.map((sample) => of(sample).toFixed(digits)).join(' ')
  const megabytes = (name: string, digits: number) => each(({ memory }) => (memory[name] ?? 0) / 1e6, digits)
  const sum = ({ counts }: Sample, prefix: string) => Object.entries(counts).reduce((total, [name, count]) => name.startsWith(prefix) ? total + count : total, 0)
  return row([
    Math.round(seconds), total(samples, 'active'), total(samples, 'opened'), done.published, done.rejected, total(samples, 'sent'), total(samples, 'gaps'), restarts,
    megabytes('heap', 2), megabytes('rss', 0), each(({ counts }) => counts.files ?? 0), each((sample) => sum(sample, 'handles')),
    each((sample) => sum(sample, 'listeners')), each(({ counts }) => counts.timers ?? 0), cpu.map((part) => part.toFixed(0)).join(' ')
  ])
}

/** Adds up the stats of all apps of all servers. */
export function total (samples: readonly Sample[], name: Exclude<keyof SSEStats, 'closed' | 'runs'>): number {
  return samples.flatMap(({ stats }) => stats).reduce((sum, stats) => sum + stats[name], 0)
}

/** Formats the number of closed streams by reason. */
export function reasons (samples: readonly Sample[]): string {
  const closed = samples.flatMap(({ stats }) => stats).map(({ closed }) => Object.entries(closed))
  const counts = new Map<string, number>()
  for (const [reason, count] of closed.flat()) counts.set(reason, (counts.get(reason) ?? 0) + count)
  return [...counts].map(([reason, count]) => `${reason} ${count}`).join(', ')
}

function row (cells: ReadonlyArray<string | number>): string {
  return cells.map((cell, i) => String(cell).padStart(COLUMNS[i]?.[1] ?? 0)).join('')
}
