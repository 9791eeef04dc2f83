import { follow, START, tellIdle } from './connection.js'
import { entry, notice } from './entries.js'
import { post } from './post.js'

const KEPT = 200
const element = (id) => document.querySelector(`#${id}`)
const list = element('notifications')
let reading

async function read () {
  reading?.abort()
  reading = new AbortController()
  const { signal } = reading
  let user
  list.replaceChildren()
  try {
    for await (const { event, data } of follow('/notifications', { lastEventId: START, text: ['user'], signal })) {
      if (event === 'user') {
        // Another tab may have signed in as somebody else before this one came back.
        if (user !== undefined && user !== data) return read()
        user = data
        signedIn(data)
      } else {
        add(event === 'gap' ? notice('Some notifications may be missing here.') : entry(data.from, data.time, data.text))
      }
    }
  } catch (error) {
    // The cookie is of no use any more where the server was given another secret.
    if (error.status !== 401) throw error
    signedOut()
  }
}

function add (item) {
  list.prepend(item)
  if (list.childElementCount > KEPT) list.lastElementChild.remove()
}

function signedIn (name) {
  element('user').textContent = name
  element('to').value ||= name
  element('signed-in').hidden = false
}

function signedOut () {
  tellIdle('not signed in')
  element('signed-in').hidden = true
  element('send').querySelector('[role=alert]').textContent = ''
  element('sign-in').querySelector('[role=alert]').textContent = 'You are no longer signed in.'
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
  read()
})
onSubmit(element('send'), async () => {
  await post('/notifications', { to: element('to').value, text: element('text').value })
  element('text').value = ''
})

// Ends the stream of every tab, of this browser and of others. Each reconnects and is refused.
onSubmit(element('sign-out'), () => post('/sign-out', {}))

const { name } = await (await fetch('/session')).json()
if (name === null) tellIdle('not signed in')
else await read()
