import { follow, START } from './connection.js'
import { post } from './post.js'

const KEPT = 200
const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const element = (id) => document.querySelector(`#${id}`)
const rows = document.querySelector('#events tbody')
let here

function cell (text) {
  const made = document.createElement('td')
  made.textContent = text
  return made
}

/** A process by its number, and a colour of its own. */
function processCell (number) {
  const made = cell(number)
  made.className = 'process'
  made.style.setProperty('--number', number)
  return made
}

function add (...cells) {
  rows.insertRow(0).append(...cells)
  if (rows.rows.length > KEPT) rows.deleteRow(-1)
}

function notice (text) {
  const made = cell(text)
  made.className = 'notice'
  made.colSpan = 4
  add(made)
}

element('say').addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = element('text')
  element('problem').textContent = ''
  try {
    await post('/processes', { text: text.value })
    text.value = ''
  } catch (error) {
    element('problem').textContent = error.message
  }
})

for await (const { event, data } of follow('/processes', { lastEventId: START })) {
  if (event === 'process') {
    if (here !== undefined) notice(`Process ${here} is gone, process ${data.number} goes on.`)
    here = data.number
    element('here').textContent = `process ${here}`
    element('kill').textContent = `kill -9 ${data.pid}`
  } else if (event === 'gap') {
    notice('Some events may be missing here.')
  } else {
    add(processCell(data.from), cell(data.text), cell(clock.format(data.time)), processCell(here))
  }
}
