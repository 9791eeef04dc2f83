import { connect } from './connection.js'
import { post } from './post.js'

/** Comes before every event: asks for all that Redis still has. */
const START = '0-0'
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

const stream = connect(`/processes?lastEventId=${START}`)
stream.addEventListener('process', ({ data }) => {
  const { number, pid } = JSON.parse(data)
  if (here !== undefined) notice(`Process ${here} is gone, process ${number} goes on.`)
  here = number
  element('here').textContent = `process ${number}`
  element('kill').textContent = `kill -9 ${pid}`
})
stream.addEventListener('message', ({ data }) => {
  const { from, text, time } = JSON.parse(data)
  add(processCell(from), cell(text), cell(clock.format(time)), processCell(here))
})
stream.addEventListener('gap', ({ data }) => {
  if (JSON.parse(data).lastEventId !== START) notice('Some events may be missing here.')
})

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
