import { EventSourceParserStream } from '/eventsource-parser/stream.js'

const form = document.querySelector('#ask')
const prompt = document.querySelector('#prompt')
const send = document.querySelector('#send')
const talk = document.querySelector('#talk')
let answering

function say (name, text = '') {
  const paragraph = document.createElement('p')
  paragraph.className = name
  paragraph.textContent = text
  talk.append(paragraph)
  return paragraph
}

async function ask (question) {
  answering = new AbortController()
  send.textContent = 'Stop'
  say('asked', question)
  const answer = say('writing')
  try {
    const response = await fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: question }),
      signal: answering.signal
    })
    if (!response.ok) throw new Error((await response.json()).message)
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader()
    for (let next = await events.read(); !next.done; next = await events.read()) {
      if (next.value.event === 'token') answer.append(next.value.data)
      form.scrollIntoView({ block: 'nearest' })
    }
  } catch (error) {
    if (!answering.signal.aborted) say('failed', error.message)
  } finally {
    answer.className = 'answered'
    answering = undefined
    send.textContent = 'Send'
  }
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
