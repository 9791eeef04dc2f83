import { follow, START } from './connection.js'
import { liveChart } from './live-chart.js'
import { post } from './post.js'
import { quoteCard } from './quote-card.js'
import { change, money, whole } from './money.js'

const SHOWN_TRADES = 8
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const element = (id) => document.querySelector(`#${id}`)
/** Of each company, by its symbol. */
const cards = new Map()
let chosen
let trading

const chart = liveChart(element('chart'), {
  label: 'The price',
  series: [{ label: 'price', format: money }],
  range: (min, max) => {
    const margin = Math.max((max - min) * 0.1, 0.05)
    return [min - margin, max + margin]
  },
  tick: money,
  height: 'tall'
})

/** Each event has the prices of one second. At the start and after a gap, the seconds before it are loaded. */
async function followPrices () {
  let complete = false
  const onShare = ({ holds }) => {
    element('holder').textContent = holds ? 'This tab holds the connection for the prices.' : 'Another tab holds the connection for the prices.'
  }
  for await (const { event, data } of follow('/ticker', { share: 'prices', onShare })) {
    if (event === 'gap') {
      complete = false
      continue
    }
    complete ||= await addBefore(data.time)
    add(data)
    for (const card of cards.values()) card.draw()
    show()
  }
}

/** Returns whether the prices before a time could be loaded. */
async function addBefore (end) {
  try {
    const past = await (await fetch('/prices')).json()
    for (const second of past) if (second.time < end) add(second)
    return true
  } catch {
    return false
  }
}

function add ({ time, shares }) {
  for (const share of shares) cards.get(share.symbol)?.add(time, share)
}

/** Whatever of the chosen company's prices the chart does not have yet. */
function show () {
  const { name, points, share } = cards.get(chosen)
  for (const { time, price } of points) chart.add(time, price)
  if (share === undefined) return
  document.title = `${money(share.price)} ${chosen}`
  element('name').textContent = name
  element('price').textContent = money(share.price)
  Object.assign(element('change'), change(share))
  element('open').textContent = money(share.open)
  element('high').textContent = money(Math.max(...chart.shown))
  element('low').textContent = money(Math.min(...chart.shown))
}

function choose (symbol) {
  chosen = symbol
  for (const card of cards.values()) card.choose(card.symbol === symbol)
  chart.clear()
  show()
  followTrades(symbol)
}

/** From before the first event: the trades that the server still has come first. */
async function followTrades (symbol) {
  trading?.abort()
  trading = new AbortController()
  const { signal } = trading
  const list = element('trades')
  list.replaceChildren()
  for await (const { event, data } of follow(`/trades/${symbol}`, { lastEventId: START, signal })) {
    const item = document.createElement('li')
    item.textContent = event === 'gap' ? 'Some trades may be missing here.' : `${clock.format(data.time)}  ${whole(data.quantity)} × ${money(data.price)}`
    list.prepend(item)
    if (list.childElementCount > SHOWN_TRADES) list.lastElementChild.remove()
  }
}

element('trade').addEventListener('submit', async (event) => {
  event.preventDefault()
  element('problem').textContent = ''
  try {
    await post('/trades', { symbol: chosen, price: cards.get(chosen).share.price, quantity: element('quantity').valueAsNumber })
  } catch (error) {
    element('problem').textContent = error.message
  }
})

for (const { symbol, name } of await (await fetch('/stocks')).json()) {
  const card = quoteCard(symbol, name)
  cards.set(symbol, card)
  element('symbols').append(card.item)
  card.link.addEventListener('click', (event) => {
    event.preventDefault()
    window.history.replaceState(null, '', card.link.href)
    choose(symbol)
  })
}
const asked = new URLSearchParams(window.location.search).get('symbol')
choose(cards.has(asked) ? asked : 'BOLT')
await followPrices()
