import { EventSourceParserStream } from '/eventsource-parser/stream.js'
import { element } from './element.js'
import { exampleValues, urlOf } from './request-line.js'

/** After so many events a stream has been seen. */
const SHOWN = 12
/** A longer event is cut. */
const CHARACTERS = 600

/** Stops the one that is open: a browser has six connections to a server, and one stream at a time is what one reads. */
let stopOpen = () => {}

/**
 * A form that opens a route's stream and shows its first events as they come.
 * @param tell what the page is to say of the open stream: `idle`, `connecting`, `live` or `closed`, and its URL
 */
export function tryStream (route, tell) {
  const values = exampleValues(route)
  const open = element('button', { className: 'main' }, 'Open')
  const stop = element('button', { type: 'button', disabled: true }, 'Stop')
  const state = element('output', {})
  const list = element('ol', { className: 'tried', hidden: true, tabIndex: 0, ariaLabel: `Events of ${route.path}` })
  const form = element('form', { className: 'fields' }, ...route.parameters.map((parameter) => field(parameter, values, route.id)), open, stop, state)

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    stopOpen()
    const leave = new AbortController()
    stopOpen = () => leave.abort()
    stop.disabled = false
    list.replaceChildren()
    list.hidden = false
    const url = urlOf(route, Object.fromEntries(new FormData(form)))
    const say = (name, text) => {
      state.textContent = text
      tell(name, url)
    }
    say('connecting', 'connecting')
    try {
      say('idle', await show(url, leave.signal, list, () => say('live', 'live')))
    } catch (error) {
      if (leave.signal.aborted) say('idle', 'stopped')
      else say('closed', error.message)
    } finally {
      leave.abort()
      stop.disabled = true
      list.hidden = list.childElementCount === 0
    }
  })
  stop.addEventListener('click', () => stopOpen())
  return [form, list]
}

/** Adds the stream's events to the list until enough are there. @returns why it ended */
async function show (url, signal, list, opened) {
  const response = await fetch(url, { signal, headers: { accept: 'text/event-stream' } })
  if (!response.ok) throw new Error(`${response.status}: ${(await response.json()).message}`)
  opened()
  const reader = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return 'the stream has ended'
    list.append(item(value))
    list.scrollTop = list.scrollHeight
    if (list.childElementCount === SHOWN) return `stopped after ${SHOWN} events`
  }
}

function item ({ event = 'message', id, data }) {
  const time = new Date()
  return element('li', {},
    element('b', {}, event),
    id && element('span', { className: 'id' }, `id ${id}`),
    element('time', { dateTime: time.toISOString() }, time.toLocaleTimeString()),
    element('pre', {}, data.length > CHARACTERS ? `${data.slice(0, CHARACTERS)} … (${data.length} characters)` : data))
}

function field ({ name, required, examples, schema }, values, route) {
  const choices = schema.enum ?? examples
  const input = schema.enum
    ? element('select', { name, required }, element('option', { value: '' }), ...choices.map((choice) => element('option', {}, choice)))
    : element('input', { name, required, autocomplete: 'off', spellcheck: false })
  input.value = values[name] ?? ''
  const list = !schema.enum && choices.length > 1 && element('datalist', { id: `${route}-${name}` }, ...choices.map((value) => element('option', { value })))
  if (list) input.setAttribute('list', list.id)
  return element('label', {}, element('code', {}, name), required ? '' : ' (optional)', input, list)
}
