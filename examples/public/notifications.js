import { connect } from './connection.js'
import { entry, notice } from './entries.js'
import { post } from './post.js'

/** Comes before every event: asks for all that the server still has for this user. */
const START = '0-0'
const KEPT = 200
const element = (id) => document.querySelector(`#${id}`)
const list = element('notifications')
let stream
let user

function follow () {
  stream?.close()
  user = undefined
  list.replaceChildren()
  stream = connect(`/notifications?lastEventId=${START}`)
  stream.addEventListener('user', ({ data }) => signedIn(data))
  stream.addEventListener('notification', ({ data }) => {
    const { from, time, text } = JSON.parse(data)
    list.prepend(entry(from, time, text))
    if (list.childElementCount > KEPT) list.lastElementChild.remove()
  })
  stream.addEventListener('gap', ({ data }) => {
    if (JSON.parse(data).lastEventId !== START) list.prepend(notice('Some notifications may be missing here.'))
  })
}

function signedIn (name) {
  // Another tab may have signed in as somebody else before this one came back.
  if (user !== undefined && user !== name) {
    follow()
    return
  }
  user = name
  element('user').textContent = name
  element('to').value ||= name
  element('signed-in').hidden = false
}

/** Has a form do something instead of loading another page, and say beneath it what went wrong. */
function onSubmit (form, act) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const problem = form.querySelector('[role=alert]')
    problem.textContent = ''
    try {
      await act()
    } catch (error) {
      problem.textContent = error.message
    }
  })
}

onSubmit(element('sign-in'), async () => {
  await post('/session', { name: element('name').value })
  follow()
})
onSubmit(element('send'), async () => {
  await post('/notifications', { to: element('to').value, text: element('text').value })
  element('text').value = ''
})

const { name } = await (await fetch('/session')).json()
if (name !== null) follow()
