import { showState } from './badge.js'

// the extension reports the state of its EventSource by these events, which bubble
document.addEventListener('htmx:sseOpen', () => showState('live'))
document.addEventListener('htmx:sseError', () => showState('waiting'))
document.addEventListener('htmx:sseClose', () => showState('closed'))
