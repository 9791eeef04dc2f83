import { session } from '/page-libraries/turbo.js'
import { showState } from './badge.js'

// Links load whole pages, because each page of the demo has another script.
session.drive = false

const source = document.querySelector('turbo-stream-source').streamSource
source.addEventListener('open', () => showState('live'))
source.addEventListener('error', () => showState(source.readyState === source.CLOSED ? 'closed' : 'waiting'))
