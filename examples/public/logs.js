import { connect } from './connection.js'
import { followEnd } from './follow-end.js'

const KEPT = 500
const NAMES = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' })
const lines = document.querySelector('#lines')
const level = document.querySelector('#level')
let stream

function follow () {
  stream?.close()
  stream = connect(`/logs?level=${level.value}`)
  // Each time it opens, the stream begins with the end of the log.
  stream.addEventListener('open', () => lines.replaceChildren())
  stream.addEventListener('line', ({ data }) => add(JSON.parse(data)))
}

function add (line) {
  const row = document.createElement('li')
  const time = document.createElement('time')
  time.textContent = clock.format(line.time)
  row.dataset.level = NAMES[line.level] ?? 'info'
  row.append(time, span('level', NAMES[line.level] ?? line.level), text(line))
  lines.append(row)
  if (lines.childElementCount > KEPT) lines.firstElementChild.remove()
}

function text ({ msg, req, res, responseTime, err, vitals, reqId }) {
  const details = [
    req && `${req.method} ${req.url}`,
    res && res.statusCode,
    responseTime && `${responseTime.toFixed(1)} ms`,
    err && err.message,
    vitals && `cpu ${vitals.processCpu} %, ${(vitals.rss / 2 ** 20).toFixed(0)} MB, loop ${vitals.eventLoopDelayMax} ms late, streams ${vitals.streams}`,
    reqId
  ]
  const shown = span('text', `${msg ?? ''} `)
  shown.append(span('details', details.filter(Boolean).join(' · ')))
  return shown
}

function span (name, content) {
  const made = document.createElement('span')
  made.className = name
  made.textContent = content
  return made
}

followEnd(lines)
level.addEventListener('change', follow)
document.querySelector('#good').addEventListener('click', () => fetch('/stocks'))
document.querySelector('#bad').addEventListener('click', () => fetch('/stocks/NOPE'))
follow()
