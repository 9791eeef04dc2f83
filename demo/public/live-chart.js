import UPlot from '/uplot/uPlot.esm.js'

const SECONDS = 120
/** Points that are farther apart than this, in seconds, are not joined by a line. */
const APART = 2.5
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const colour = (name) => window.getComputedStyle(document.documentElement).getPropertyValue(name)

/**
 * A chart of the last two minutes, under a legend with the newest values, or those under the pointer.
 * `label`: what it shows, for those who do not see it; `series`: `[{ label, format(value) }]`; `range(min, max)`: the ends of the y axis; `tick(value)`: its labels.
 */
export function liveChart (element, { label, series, range, tick, height = '' }) {
  const keys = series.map((_, index) => `--series-${index + 1}`)
  const rows = [[], ...series.map(() => [])]
  let drawing
  const values = document.createElement('div')
  values.className = 'values'
  const outputs = series.map(({ label }, index) => {
    const line = document.createElement('p')
    const output = document.createElement('b')
    line.className = 'value'
    line.style.setProperty('--key', `var(${keys[index]})`)
    line.append(label, output)
    values.append(line)
    return output
  })
  const plot = document.createElement('div')
  plot.className = `plot ${height}`
  plot.role = 'img'
  plot.ariaLabel = `${label} over the last two minutes`
  element.replaceChildren(values, plot)

  const show = (index) => outputs.forEach((output, number) => {
    const value = rows[number + 1][index]
    output.textContent = value === undefined || value === null ? '–' : series[number].format(value)
  })
  const axis = { stroke: () => colour('--muted'), grid: { stroke: () => colour('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' }
  const chart = new UPlot({
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    padding: [8, 28, 0, 0],
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => [(max ?? 0) - SECONDS, max ?? 0] },
      y: { range: (_, min, max) => range(min ?? 0, max ?? 0) }
    },
    axes: [
      { ...axis, size: 28, space: 76, values: (_, times) => times.map((time) => clock.format(time * 1_000)) },
      { ...axis, size: 62, space: 36, values: (_, ticks) => ticks.map(tick) }
    ],
    series: [
      {},
      ...keys.map((key) => ({ stroke: () => colour(key), width: 2, points: { show: false } }))
    ],
    hooks: {
      setCursor: [({ cursor }) => {
        values.classList.toggle('pointed', cursor.idx !== null)
        show(cursor.idx ?? rows[0].length - 1)
      }]
    }
  }, rows, plot)

  new window.ResizeObserver(() => chart.setSize({ width: plot.clientWidth, height: plot.clientHeight })).observe(plot)
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => chart.redraw())

  const live = {
    /** Shows one more point; `time` in ms. What is not newer than the last one is left out. Returns whether there is a hole before it. */
    add (time, ...point) {
      const [times] = rows
      const before = times.at(-1)
      const now = time / 1_000
      if (now <= before) return false
      const hole = now - before > APART
      if (hole) push(before + 1, point.map(() => null))
      push(now, point)
      while (times[0] < now - SECONDS - 1) for (const row of rows) row.shift()
      // what comes all at once is drawn once
      drawing ??= window.requestAnimationFrame(() => {
        drawing = undefined
        chart.setData(rows)
      })
      show(chart.cursor.idx ?? times.length - 1)
      return hole
    },
    /** Forgets all points. */
    clear () {
      for (const row of rows) row.length = 0
    },
    /** The values of the first series. */
    get shown () {
      return rows[1].filter((value) => value !== null)
    },
    /** When they were, in ms. */
    get times () {
      return rows[0].filter((_, index) => rows[1][index] !== null).map((time) => Math.round(time * 1_000))
    }
  }

  // for whoever looks at the page from outside
  element.chart = live
  return live

  function push (time, point) {
    rows.forEach((row, index) => row.push(index === 0 ? time : point[index - 1]))
  }
}
