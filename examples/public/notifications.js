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

function leave () {
  stream?.close()
  user = undefined
  list.replaceChildren()
}

function follow () {
  leave()
  stream = connect(`/notifications?lastEventId=${START}`)
  stream.addEventListener('user', ({ data }) => signedIn(data))
  stream.addEventListener('error', refused)
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

/** A refused stream does not come back by itself. The cookie is of no use any more where the server was given another secret. */
async function refused ({ target }) {
  if (target.readyState !== window.EventSource.CLOSED || await whoAmI() !== null || target !== stream) return
  leave()
  element('connection').textContent = 'not signed in'
  delete element('connection').dataset.state
  element('signed-in').hidden = true
  element('send').querySelector('[role=alert]').textContent = ''
  element('sign-in').querySelector('[role=alert]').textContent = 'You are no longer signed in.'
}

async function whoAmI () {
  return (await (await fetch('/session')).json()).name
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

if (await whoAmI() !== null) follow()
