import { createElement as h, StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { useSSE } from 'fastify-sse-routes/react'
import { showState } from './badge.js'
import { money, shortChange } from './money.js'

/** Over HTTP/1.1 a browser opens at most six connections to a server. */
const MOST = 4
const STATES = { failed: 'closed', closed: 'closed', reconnecting: 'waiting', connecting: 'connecting', open: 'live' }
const WORST_FIRST = ['closed', 'waiting', 'connecting', 'live']

/** The price of one company: its stream is open as long as the component is mounted. */
function Quote ({ symbol, name, onStatus, onRemove }) {
  const { status, data, error } = useSSE(`/stocks/${symbol}`, { events: ['quote'], retry: { delay: 500, maxDelay: 3_000 } })
  useEffect(() => onStatus(symbol, status), [symbol, status])
  const { textContent, className } = data === undefined ? { textContent: '', className: '' } : shortChange(data)
  return h('li', { className: 'panel' },
    h('span', { className: 'row' }, h('b', null, symbol), h('span', { className: 'company' }, name)),
    h('span', { className: 'row' }, h('b', { className: 'price' }, data === undefined ? '…' : money(data.price)), h('span', { className }, textContent)),
    status === 'failed' && h('p', { role: 'alert' }, String(error)),
    h('button', { type: 'button', onClick: () => onRemove(symbol), 'aria-label': `Remove ${symbol}` }, 'Remove'))
}

function WatchList ({ listing }) {
  const [watched, setWatched] = useState(listing.slice(0, 2))
  const [statuses, setStatuses] = useState({})
  const others = listing.filter((company) => !watched.includes(company))
  const states = watched.map(({ symbol }) => STATES[statuses[symbol]] ?? 'connecting')
  useEffect(() => showState(WORST_FIRST.find((state) => states.includes(state)) ?? 'idle'))

  const add = (event) => {
    event.preventDefault()
    const symbol = new FormData(event.target).get('symbol')
    setWatched((watched) => [...watched, ...listing.filter((company) => company.symbol === symbol)])
  }
  const remove = (symbol) => setWatched((watched) => watched.filter((company) => company.symbol !== symbol))
  const setStatus = (symbol, status) => setStatuses((statuses) => ({ ...statuses, [symbol]: status }))
  const isFull = watched.length === MOST || others.length === 0
  return h(StrictMode, null,
    h('form', { className: 'fields', onSubmit: add },
      h('label', null, 'Company ', h('select', { name: 'symbol', disabled: isFull }, others.map(({ symbol, name }) => h('option', { key: symbol, value: symbol }, `${symbol}, ${name}`)))),
      h('button', { className: 'main', disabled: isFull }, 'Watch')),
    h('ul', { className: 'quotes', 'aria-label': 'Watched companies' },
      watched.map(({ symbol, name }) => h(Quote, { key: symbol, symbol, name, onStatus: setStatus, onRemove: remove }))))
}

const listing = await (await fetch('/stocks')).json()
createRoot(document.querySelector('#watch')).render(h(WatchList, { listing }))
