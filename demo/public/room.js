import { follow, START } from './connection.js'
import { entry, notice } from './entries.js'
import { followEnd } from './follow-end.js'
import { post } from './post.js'

const KEPT = 200
const ROOMS = ['lobby', 'garden', 'kitchen']
const storage = window.sessionStorage
const element = (id) => document.querySelector(`#${id}`)
const asked = new URLSearchParams(window.location.search).get('room') ?? ''
const room = /^[a-z0-9-]{1,40}$/.test(asked) ? asked : ROOMS[0]
const url = `/rooms/${room}`
const list = element('messages')
const toEnd = followEnd(list)

// A page that is loaded again has no Last-Event-ID: it keeps what it has seen, and asks for what came after it.
const memory = JSON.parse(storage.getItem(url)) ?? { lastEventId: START, seen: [] }

function show ({ name, time, text }) {
  list.append(name === undefined ? notice('Some messages may be missing here.') : entry(name, time, text))
  if (list.childElementCount > KEPT) list.firstElementChild.remove()
}

function add (item, lastEventId) {
  show(item)
  memory.seen = [...memory.seen, item].slice(-KEPT)
  memory.lastEventId = lastEventId
  storage.setItem(url, JSON.stringify(memory))
}

element('name').value = storage.getItem('name')
element('say').addEventListener('submit', async (event) => {
  event.preventDefault()
  const [name, text] = [element('name'), element('text')]
  const said = text.value
  storage.setItem('name', name.value)
  text.value = ''
  element('problem').textContent = ''
  toEnd()
  try {
    await post(`${url}/messages`, { name: name.value, text: said })
  } catch (error) {
    text.value ||= said
    element('problem').textContent = error.message
  }
})

for (const name of ROOMS) {
  const tab = document.createElement('a')
  tab.href = `?room=${name}`
  tab.textContent = name
  if (name === room) tab.ariaCurrent = 'page'
  element('rooms').append(tab)
}

memory.seen.forEach(show)
for await (const { event, data, id } of follow(url, { lastEventId: memory.lastEventId })) add(event === 'gap' ? {} : data, id)
