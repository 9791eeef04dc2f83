import { listing, quote } from './market.js'

/** The newest price of each company, as an HTML list of several lines. */
export function priceList (): string {
  return ['<ul id="prices" class="quotes" aria-label="Prices">', ...listing.map(({ symbol }) => item(symbol)), '</ul>'].join('\n')
}

/** The texts need no escaping, because they are numbers and constants of this project. */
function item (symbol: string): string {
  const { name, price, changePercent } = quote(symbol)
  const [arrow, sign, className] = changePercent < 0 ? ['▼', '−', 'down'] : ['▲', '+', 'up']
  return `  <li class="panel">
    <span class="row"><b>${symbol}</b><span class="company">${name}</span></span>
    <span class="row"><b class="price">${price.toFixed(2)}</b><span class="${className}">${arrow} ${sign}${Math.abs(changePercent).toFixed(2)} %</span></span>
  </li>`
}
