const TEXTS = { idle: 'no stream open', closed: 'closed', waiting: 'reconnecting', connecting: 'connecting', live: 'live' }
const badge = document.querySelector('#connection')

/** Shows the state of the page's streams in its badge, for pages that do not use connection.js. */
export function showState (state) {
  if (badge.dataset.state === state) return
  badge.dataset.state = state
  badge.firstElementChild.textContent = TEXTS[state]
}
