import { money, shortChange } from './money.js'

const KEPT = 120
const WIDTH = 120
const HEIGHT = 32
const SVG = 'http://www.w3.org/2000/svg'

/** A list item with a company's price, how it moved, and a line of the last two minutes. */
export function quoteCard (symbol, name) {
  const item = document.createElement('li')
  const link = document.createElement('a')
  link.className = 'panel'
  link.href = `?symbol=${symbol}`
  const price = part('b', 'price', '…')
  const change = part('span', '', '')
  const svg = document.createElementNS(SVG, 'svg')
  const line = document.createElementNS(SVG, 'polyline')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.ariaHidden = true
  svg.append(line)
  link.append(row(part('b', '', symbol), part('span', 'company', name)), row(price, change), svg)
  item.append(link)
  const points = []

  return {
    item,
    link,
    symbol,
    name,
    /** `{ time, price }`, oldest first. */
    points,
    /** The newest price, and the day's first. */
    share: undefined,
    add (time, share) {
      if (time <= points.at(-1)?.time) return
      points.push({ time, price: share.price })
      if (points.length > KEPT) points.shift()
      this.share = share
    },
    draw () {
      if (this.share === undefined) return
      price.textContent = money(this.share.price)
      Object.assign(change, shortChange(this.share))
      svg.setAttribute('class', `spark ${change.className}`)
      const prices = points.map(({ price }) => price)
      const [low, high] = [Math.min(...prices), Math.max(...prices)]
      const end = points.at(-1).time
      line.setAttribute('points', points.map(({ time, price }) => {
        const x = WIDTH - (end - time) / 1_000 * WIDTH / (KEPT - 1)
        const y = 2 + (HEIGHT - 4) * (high - price) / Math.max(high - low, 0.01)
        return `${x.toFixed(1)},${y.toFixed(1)}`
      }).join(' '))
    },
    choose (chosen) {
      link.ariaCurrent = chosen ? 'true' : null
    }
  }
}

function row (...parts) {
  const made = part('span', 'row', '')
  made.append(...parts)
  return made
}

function part (name, className, content) {
  const made = document.createElement(name)
  made.className = className
  made.textContent = content
  return made
}
