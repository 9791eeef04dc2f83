import { showState } from './badge.js'

document.addEventListener('htmx:sse:before:connection', ({ detail }) => showState(detail.connection.attempt > 0 ? 'waiting' : 'connecting'))
document.addEventListener('htmx:sse:after:connection', () => showState('live'))
document.addEventListener('htmx:sse:error', () => showState('waiting'))
document.addEventListener('htmx:sse:close', () => showState('closed'))
