import { session } from '/page-libraries/turbo.js'
import { showState } from './badge.js'

// The other pages of the demo have scripts of their own, so links load them in whole.
session.drive = false

const source = document.querySelector('turbo-stream-source').streamSource
source.addEventListener('open', () => showState('live'))
source.addEventListener('error', () => showState(source.readyState === source.CLOSED ? 'closed' : 'waiting'))
