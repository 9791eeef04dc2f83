import { follow, START } from './connection.js'
import { entry, notice } from './entries.js'
import { followEnd } from './follow-end.js'
import { post } from './post.js'
import { randomId } from './random-id.js'

const KEPT = 200
const ROOMS = ['lobby', 'garden', 'kitchen']
const storage = window.sessionStorage
const element = (id) => document.querySelector(`#${id}`)
const asked = new URLSearchParams(window.location.search).get('room') ?? ''
const room = /^[a-z0-9-]{1,40}$/.test(asked) ? asked : ROOMS[0]
const url = `/rooms/${room}`
const list = element('messages')
const toEnd = followEnd(list)

// Keeps what a page that is loaded again has seen, because it has no Last-Event-ID, and its id, because its own messages are not sent to it.
const memory = JSON.parse(storage.getItem(url)) ?? { client: randomId(), lastEventId: START, seen: [] }

function show ({ name, time, text }) {
  const item = name === undefined ? notice('Some messages may be missing here.') : entry(name, time, text)
  list.append(item)
  if (list.childElementCount > KEPT) list.firstElementChild.remove()
  return item
}

function keep (item, lastEventId = memory.lastEventId) {
  memory.seen = [...memory.seen, item].slice(-KEPT)
  memory.lastEventId = lastEventId
  storage.setItem(url, JSON.stringify(memory))
}

element('name').value = storage.getItem('name')
element('say').addEventListener('submit', async (event) => {
  event.preventDefault()
  const text = element('text')
  const own = { name: element('name').value, time: Date.now(), text: text.value }
  storage.setItem('name', own.name)
  text.value = ''
  element('problem').textContent = ''
  toEnd()
  const shown = show(own)
  try {
    await post(`${url}/messages`, { client: memory.client, name: own.name, text: own.text })
    keep(own)
  } catch (error) {
    shown.remove()
    text.value ||= own.text
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
for await (const { event, data, id } of follow(`${url}?client=${memory.client}`, { lastEventId: memory.lastEventId })) {
  const item = event === 'gap' ? {} : data
  show(item)
  keep(item, id)
}
