import { connect } from './connection.js'
import { liveChart } from './live-chart.js'
import { post } from './post.js'

const symbol = new URLSearchParams(window.location.search).get('symbol') ?? 'BOLT'
const SHOWN_TRADES = 8
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const money = (amount) => amount.toFixed(2)
const signed = (amount) => `${amount < 0 ? '−' : '+'}${Math.abs(amount).toFixed(2)}`
const element = (id) => document.querySelector(`#${id}`)

const chart = liveChart(element('chart'), {
  series: [{ label: symbol, format: money }],
  range: (min, max) => {
    const margin = Math.max((max - min) * 0.1, 0.05)
    return [min - margin, max + margin]
  },
  tick: money,
  height: 'tall'
})

const stream = connect(`/stocks/${encodeURIComponent(symbol)}`)
stream.addEventListener('history', ({ data }) => {
  chart.clear()
  for (const { time, price } of JSON.parse(data)) chart.add(time, price)
})
stream.addEventListener('quote', ({ data }) => {
  const { name, time, price, open, change, changePercent } = JSON.parse(data)
  chart.add(time, price)
  document.title = `${money(price)} ${symbol}`
  element('name').textContent = name
  element('price').textContent = money(price)
  element('change').textContent = `${change < 0 ? '▼' : '▲'} ${signed(change)} (${signed(changePercent)} %) today`
  element('change').className = change < 0 ? 'down' : 'up'
  element('open').textContent = money(open)
  element('high').textContent = money(Math.max(...chart.shown))
  element('low').textContent = money(Math.min(...chart.shown))
})

// From before the first event: the trades that the server still has come first.
const trades = new window.EventSource(`/trades/${encodeURIComponent(symbol)}?lastEventId=0-0`)
trades.addEventListener('trade', ({ data }) => {
  const { price, quantity, time } = JSON.parse(data)
  const trade = document.createElement('li')
  trade.textContent = `${clock.format(time)}  ${quantity.toLocaleString('en')} × ${money(price)}`
  element('trades').prepend(trade)
  if (element('trades').childElementCount > SHOWN_TRADES) element('trades').lastElementChild.remove()
})
trades.addEventListener('gap', () => element('trades').replaceChildren())

element('trade').addEventListener('submit', async (event) => {
  event.preventDefault()
  element('problem').textContent = ''
  try {
    await post('/trades', { symbol, price: Number(element('price').textContent), quantity: element('quantity').valueAsNumber })
  } catch (error) {
    element('problem').textContent = error.message
  }
})

for (const company of await (await fetch('/stocks')).json()) {
  const tab = document.createElement('a')
  tab.href = `?symbol=${company.symbol}`
  tab.title = company.name
  tab.textContent = company.symbol
  if (company.symbol === symbol) tab.ariaCurrent = 'page'
  element('symbols').append(tab)
}
