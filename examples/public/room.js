import { connect } from './connection.js'
import { entry, notice } from './entries.js'
import { post } from './post.js'

/** Comes before every event: asks for all that the server still has. */
const START = '0-0'
const KEPT = 200
const ROOMS = ['lobby', 'garden', 'kitchen']
const storage = window.sessionStorage
const element = (id) => document.querySelector(`#${id}`)
const room = new URLSearchParams(window.location.search).get('room') ?? ROOMS[0]
const url = `/rooms/${encodeURIComponent(room)}`

// A page that is loaded again sends no Last-Event-ID: it keeps what it has seen, and asks for what came after it.
const memory = JSON.parse(storage.getItem(url)) ?? { lastEventId: START, seen: [] }

function show ({ name, time, text }) {
  const list = element('messages')
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8
  list.append(name === undefined ? notice('Some messages may be missing here.') : entry(name, time, text))
  if (list.childElementCount > KEPT) list.firstElementChild.remove()
  if (atEnd) list.scrollTop = list.scrollHeight
}

function add (item, lastEventId) {
  show(item)
  memory.seen = [...memory.seen, item].slice(-KEPT)
  memory.lastEventId = lastEventId
  storage.setItem(url, JSON.stringify(memory))
}

memory.seen.forEach(show)
const stream = connect(`${url}?lastEventId=${memory.lastEventId}`)
stream.addEventListener('message', ({ data, lastEventId }) => add(JSON.parse(data), lastEventId))
stream.addEventListener('gap', ({ data, lastEventId }) => {
  if (JSON.parse(data).lastEventId !== START) add({}, lastEventId)
})

element('name').value = storage.getItem('name')
element('say').addEventListener('submit', async (event) => {
  event.preventDefault()
  const [name, text] = [element('name'), element('text')]
  const said = text.value
  storage.setItem('name', name.value)
  text.value = ''
  element('problem').textContent = ''
  try {
    await post(`${url}/messages`, { name: name.value, text: said })
  } catch (error) {
    text.value ||= said
    element('problem').textContent = `Not sent: ${error.message}`
  }
})

for (const name of ROOMS) {
  const tab = document.createElement('a')
  tab.href = `?room=${name}`
  tab.textContent = name
  if (name === room) tab.ariaCurrent = 'page'
  element('rooms').append(tab)
}
