import { median, ratio } from './rounds.js'

/**
 * Prints a table as Markdown: for each contender the median, the range, and, unless `alone`, what it is to raw, and what ours is to it.
 *
 * @param {string} title
 * @param {Record<string, string>} units the numbers of a result, by name: what they are called
 * @param results of `interleave`
 * @param {boolean} [options.alone] whether to print the numbers without ratios
 */
export function print (title, units, results, { alone = false } = {}) {
  const contenders = [...results.keys()]
  const raw = contenders.find(({ candidate }) => candidate === 'raw')
  const ours = contenders.find(({ candidate }) => candidate === 'ours')
  const of = (contender, unit) => results.get(contender).map((result) => result[unit])
  const header = ['', ...Object.entries(units).flatMap(([, label]) => alone ? [label, 'range'] : [label, 'range', '× raw', 'ours is × this'])]
  const rows = contenders.map((contender) => [
    contender.name,
    ...Object.keys(units).flatMap((unit) => {
      const values = of(contender, unit)
      return [
        figure(median(values)),
        `${figure(Math.min(...values))}–${figure(Math.max(...values))}`,
        ...alone ? [] : [ratio(values, of(raw, unit)).toFixed(2), ratio(of(ours, unit), values).toFixed(2)]
      ]
    })
  ])
  console.log(`\n### ${title}\n\nRounds: ${results.get(contenders[0]).length}.\n`)
  for (const row of [header, header.map((_, i) => i === 0 ? '---' : '---:'), ...rows]) console.log(`| ${row.join(' | ')} |`)
}

function figure (value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
