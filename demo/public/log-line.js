const NAMES = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' }
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' })

/** A list item of a line of pino's. */
export function logLine ({ seq, time, level, msg = '', ...rest }) {
  const row = document.createElement('li')
  row.dataset.level = NAMES[level] ?? 'info'
  if (seq !== undefined) row.dataset.seq = seq
  const text = part('span', 'text', `${msg} `)
  text.append(part('span', 'details', details(rest).filter((detail) => detail !== msg).join(' · ')))
  row.append(part('time', '', clock.format(time)), part('span', 'level', NAMES[level] ?? level), text)
  return row
}

function details ({ req, res, responseTime, tokens, err, vitals, reqId }) {
  return [
    req && `${req.method} ${req.url}`,
    res && res.statusCode,
    responseTime && `${responseTime.toFixed(1)} ms`,
    tokens !== undefined && `${tokens} tokens`,
    err && err.message,
    vitals && `cpu ${vitals.processCpu} %, ${(vitals.rss / 2 ** 20).toFixed(0)} MB, loop ${vitals.eventLoopDelayMax} ms late, streams ${vitals.streams}`,
    reqId
  ].filter(Boolean)
}

function part (name, className, content) {
  const made = document.createElement(name)
  if (className) made.className = className
  made.textContent = content
  return made
}
