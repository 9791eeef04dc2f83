import { connect } from './connection.js'
import { liveChart } from './live-chart.js'

const symbol = new URLSearchParams(window.location.search).get('symbol') ?? 'BOLT'
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

for (const company of await (await fetch('/stocks')).json()) {
  const tab = document.createElement('a')
  tab.href = `?symbol=${company.symbol}`
  tab.title = company.name
  tab.textContent = company.symbol
  if (company.symbol === symbol) tab.ariaCurrent = 'page'
  element('symbols').append(tab)
}
