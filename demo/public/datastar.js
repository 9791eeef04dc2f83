import { showState } from './badge.js'

const STATES = { started: 'connecting', retrying: 'waiting', error: 'waiting', finished: 'waiting' }
/** Time before a request that follows the end of a stream, ms. */
const DELAY = 1_000

// Datastar reports its requests and their events by this event.
document.addEventListener('datastar-sse', ({ detail }) => {
  showState(STATES[detail.type] ?? 'live')
  // Datastar does not reconnect after a clean end, so the page does.
  if (detail.type === 'finished') setTimeout(() => document.querySelector('#prices').parentElement.dispatchEvent(new Event('again')), DELAY)
})
