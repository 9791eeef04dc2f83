import { sse } from 'fastify-sse-routes/client'
import { follow } from './connection.js'
import { stop } from './post.js'
import { randomId } from './random-id.js'

const TEXT = ['question', 'token', 'done']
const storage = window.sessionStorage
const element = (id) => document.querySelector(`#${id}`)
const [form, prompt, send, talk] = ['ask', 'prompt', 'send', 'talk'].map(element)

// The URL has the id of the chat, so that a reload and other tabs find its answer.
const chat = new URLSearchParams(window.location.search).get('chat') ?? randomId()
const url = `/chats/${chat}`
window.history.replaceState(null, '', `?chat=${chat}`)
element('tab').href = `?chat=${chat}`

// Keeps the answers that have ended, because the server has only the newest one, and the id of the last event, which a page that is loaded again has not.
const memory = JSON.parse(storage.getItem(url)) ?? { lastEventId: null, said: [] }

/** The answer that is being written; null between answers. */
let answer = null
/** A question that this page has to send. */
let question
/** Aborts the stream that waits for a question. */
let waiting
let scrolling = false

/** Scrolls to the form once per frame: a layout for each token blocks the page of a slow machine. */
function scrollToForm () {
  if (scrolling) return
  scrolling = true
  window.requestAnimationFrame(() => {
    scrolling = false
    form.scrollIntoView({ block: 'nearest' })
  })
}

function say (name, text = '') {
  const paragraph = document.createElement('p')
  paragraph.className = name
  paragraph.textContent = text
  talk.append(paragraph)
  return paragraph
}

function begin (asked, own) {
  say('asked', asked)
  answer = { asked, own, paragraph: say('writing'), tokens: 0, complete: false, failure: undefined }
  // screen readers read the answer as a whole
  answer.paragraph.ariaBusy = true
  send.textContent = 'Stop'
}

/** Shows an event of an answer. Returns whether it is the last one. */
function show ({ event, data, id }) {
  memory.lastEventId = id
  if (event === 'question') {
    if (answer?.own) answer.own = false
    else begin(data, false)
  } else if (event === 'token') {
    answer.tokens++
    answer.paragraph.append(data)
  } else if (event === 'complete') {
    answer.complete = true
  } else if (event === 'error') {
    answer.failure = `The answer has failed: ${data.message}`
  }
  scrollToForm()
  return event === 'done' || event === 'error'
}

function end () {
  if (answer === null) return
  const { asked, paragraph, tokens, complete, failure } = answer
  answer = null
  paragraph.className = 'answered'
  paragraph.ariaBusy = false
  send.textContent = 'Send'
  if (failure) fail(say('failed', `${failure} `), asked)
  else if (!complete) fail(say('stopped', `The answer was stopped after ${tokens} tokens. `), asked)
  memory.said = Array.from(talk.children, (paragraph) => {
    paragraph.normalize()
    return { name: paragraph.className, text: paragraph.firstChild?.data }
  })
  storage.setItem(url, JSON.stringify(memory))
  scrollToForm()
}

function fail (reason, asked) {
  const again = document.createElement('button')
  again.type = 'button'
  again.textContent = 'Ask again'
  again.addEventListener('click', () => {
    if (answer) return
    again.remove()
    send.focus()
    ask(asked)
  })
  reason.append(again)
}

function ask (text) {
  question = text
  waiting.abort()
}

/** Sends a question and reads the answer from the response. Returns whether the page has all of it. */
async function readResponse (prompt) {
  begin(prompt, true)
  try {
    const headers = { 'content-type': 'application/json' }
    for await (const event of sse(url, { method: 'POST', headers, body: JSON.stringify({ prompt }), text: TEXT })) {
      if (show(event)) return true
    }
  } catch (error) {
    if (!error.status) return false
    answer.failure = `There is no answer: ${error.message}`
    return true
  }
  return false
}

/** Reads the answer that this chat has, after the events that the page has already. */
async function readNewest () {
  for await (const event of follow(url, { lastEventId: memory.lastEventId, text: TEXT, brief: true })) {
    if (show(event)) return
  }
}

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  if (answer) {
    send.disabled = true
    await stop(url).catch((error) => say('failed', error.message))
    send.disabled = false
  } else if (prompt.value.trim()) {
    ask(prompt.value.trim())
    prompt.value = ''
  }
})

prompt.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !answer) {
    event.preventDefault()
    form.requestSubmit()
  }
})

for (const { name, text } of memory.said) say(name, text)

// The page has one open stream at a time, because browsers open at most six connections to a server for all tabs.
let lastQuestion = null
for (;;) {
  waiting = new AbortController()
  if (question === undefined) {
    const questions = follow(`${url}/questions`, { lastEventId: lastQuestion, text: ['question'], signal: waiting.signal, brief: true })
    const { value } = await questions.next()
    lastQuestion = value?.id ?? lastQuestion
    await questions.return()
  }
  const asked = question
  question = undefined
  if (asked === undefined || !await readResponse(asked)) await readNewest()
  end()
}
