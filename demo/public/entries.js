const clock = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

/** A list item of who wrote what, and when. What they wrote is shown as text, whatever it looks like. */
export function entry (from, time, text) {
  const item = document.createElement('li')
  const when = element('time', clock.format(time))
  when.dateTime = new Date(time).toISOString()
  item.append(element('b', from), when, element('p', text))
  return item
}

/** A list item that says something of the list itself. */
export function notice (text) {
  const item = element('li', text)
  item.className = 'notice'
  return item
}

function element (name, text) {
  const made = document.createElement(name)
  made.textContent = text
  return made
}
