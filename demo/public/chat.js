import { sse } from 'fastify-sse-routes/client'
import { follow } from './connection.js'
import { logLine } from './log-line.js'

const SHOWN_LINES = 5
const element = (id) => document.querySelector(`#${id}`)
const [form, prompt, send, talk, log] = ['ask', 'prompt', 'send', 'talk', 'log'].map(element)
let answering
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

async function ask (question) {
  answering = new AbortController()
  const { signal } = answering
  send.textContent = 'Stop'
  say('asked', question)
  const answer = say('writing')
  // it is read out as a whole
  answer.ariaBusy = true
  let tokens = 0
  let done = false
  try {
    const headers = { 'content-type': 'application/json' }
    for await (const { event, data } of sse('/chat', { method: 'POST', headers, body: JSON.stringify({ prompt: question }), signal, text: true })) {
      if (event === 'token') {
        tokens++
        answer.append(data)
      } else if (event === 'done') {
        done = true
      }
      scrollToForm()
    }
    if (!done) fail('The answer ends here: the server has closed the stream.', question)
  } catch (error) {
    if (signal.aborted) say('stopped', `You stopped it after ${tokens} tokens.`)
    else fail(tokens > 0 ? 'The connection was lost: the answer is not complete.' : `There is no answer: ${error.message}`, question)
  } finally {
    answer.className = 'answered'
    answer.ariaBusy = false
    answering = undefined
    send.textContent = 'Send'
  }
}

/** To ask again makes a new answer, which is why the client does not do so by itself. */
function fail (reason, question) {
  const again = document.createElement('button')
  again.type = 'button'
  again.textContent = 'Ask again'
  again.addEventListener('click', () => {
    if (answering) return
    again.remove()
    send.focus()
    ask(question)
  })
  say('failed', `${reason} `).append(again)
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (answering) answering.abort()
  else if (prompt.value.trim()) ask(prompt.value.trim())
  prompt.value = ''
})
prompt.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !answering) {
    event.preventDefault()
    form.requestSubmit()
  }
})

// How far the server came is told by itself: by its log, which is a stream as well.
for await (const { event, data } of follow('/logs?level=info')) {
  if (event !== 'line' || data.tokens === undefined) continue
  log.prepend(logLine(data))
  if (log.childElementCount > SHOWN_LINES) log.lastElementChild.remove()
}
