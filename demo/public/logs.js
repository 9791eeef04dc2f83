import { follow } from './connection.js'
import { notice } from './entries.js'
import { followEnd } from './follow-end.js'
import { logLine } from './log-line.js'

const KEPT = 1_000
const element = (id) => document.querySelector(`#${id}`)
const [lines, level, search, pause, newest, count] = ['lines', 'level', 'search', 'pause', 'newest', 'count'].map(element)
const toEnd = followEnd(lines, (atEnd) => { newest.hidden = atEnd })
/** The lines that wait while the list is paused, null while it is not. */
let held = null
let reading

async function read () {
  reading?.abort()
  reading = new AbortController()
  const { signal } = reading
  lines.replaceChildren()
  resume()
  for await (const { event, data } of follow(`/logs?level=${level.value}`, { signal })) {
    take(event === 'gap' ? notice('Some lines may be missing here.') : logLine(data))
  }
}

function take (row) {
  if (held === null) add([row])
  else held = [...held, row].slice(-KEPT)
  tell()
}

function add (rows) {
  rows.forEach(sift)
  lines.append(...rows)
  while (lines.childElementCount > KEPT) lines.firstElementChild.remove()
}

/** Hides a line that does not hold what is searched for. */
function sift (row) {
  row.hidden = !row.textContent.toLowerCase().includes(search.value.trim().toLowerCase())
}

function resume () {
  const rows = held ?? []
  held = null
  add(rows)
  tell()
}

function tell () {
  pause.ariaPressed = held !== null
  pause.textContent = held === null ? 'Pause' : `Resume, ${held.length} held back`
  const found = search.value.trim() ? `${lines.querySelectorAll('li:not([hidden])').length} found` : ''
  // it is read out whenever it is set
  if (count.textContent !== found) count.textContent = found
}

level.addEventListener('change', read)
search.addEventListener('input', () => {
  Array.from(lines.children, sift)
  tell()
})
pause.addEventListener('click', () => {
  if (held !== null) return resume()
  held = []
  tell()
})
newest.addEventListener('click', () => {
  if (held !== null) resume()
  toEnd()
  lines.focus()
})
element('good').addEventListener('click', () => fetch('/stocks'))
element('bad').addEventListener('click', () => fetch('/stocks/NOPE'))
read()
